"""Sending a heatmap to somebody who may see it; pages and the API share this."""

from __future__ import annotations

from django.http import FileResponse

from screening.audit.services import record
from screening.inference.models import Result
from screening.studies.serving import serve_file


def serve_heatmap(result: Result) -> FileResponse:
    """The RGBA PNG to lay over the display rendition.

    :raises Http404: the file is missing in storage.
    """
    response = serve_file(
        result.heatmap, content_type="image/png", file_name=f"{result.image_id}.heatmap.png"
    )
    record("image.view", result.image, detail={"rendition": "heatmap"})
    return response
