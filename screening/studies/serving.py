"""Sending the bytes of an image to somebody who may see it.

Pages and the API share this; who asks is checked by the view before. Nothing of it may stay in
a cache: every look is asked for and, except for thumbnails, leaves one line in the audit. (The
page that lists thumbnails records its own view.)
"""

from __future__ import annotations

from enum import StrEnum

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404

from screening.audit.services import record
from screening.studies.gate import CONTENT_TYPES, EXTENSIONS
from screening.studies.models import Image


class Rendition(StrEnum):
    DISPLAY = "display"
    THUMBNAIL = "thumbnail"
    ORIGINAL = "original"


def serve_image(image: Image, rendition: Rendition) -> FileResponse:
    """The bytes of one rendition; the original comes as an attachment.

    :raises Http404: the file is missing in storage.
    """
    if rendition is Rendition.ORIGINAL:
        name, content_type = image.original, CONTENT_TYPES[image.format]
        file_name = f"{image.pk}{EXTENSIONS[image.format]}"
    else:
        name = image.display if rendition is Rendition.DISPLAY else image.thumbnail
        content_type, file_name = "image/jpeg", f"{image.pk}.{rendition}.jpg"
    response = serve_file(
        name,
        content_type=content_type,
        file_name=file_name,
        attachment=rendition is Rendition.ORIGINAL,
    )
    if rendition is not Rendition.THUMBNAIL:
        record("image.view", image, detail={"rendition": rendition.value})
    return response


def serve_file(
    name: str, *, content_type: str, file_name: str, attachment: bool = False
) -> FileResponse:
    """Stream a stored file under a name of ours, as nothing but what it is."""
    try:
        handle = default_storage.open(name, "rb")
    except FileNotFoundError:
        raise Http404 from None
    response = FileResponse(
        handle, content_type=content_type, filename=file_name, as_attachment=attachment
    )
    response["Cache-Control"] = "no-store, private"
    response["X-Content-Type-Options"] = "nosniff"
    return response
