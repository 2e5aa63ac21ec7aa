"""The true values of an image for the viewer: decoded, packed, and kept for a day where it pays.

What is sent is one gzip stream: eight bytes ``THORAPIX``, the length of a description (uint32,
little-endian), the description (JSON, UTF-8, padded with spaces), and from a multiple of sixteen
bytes on the values row by row, little-endian, of the ``type`` that the description names. One
answer, so that a look is one line in the audit and values never come with another picture's words.
"""

from __future__ import annotations

import gzip
import json
import logging
import math
import time
from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase

from ml import imaging
from screening.audit.services import record
from screening.core.errors import PortalError
from screening.studies import decoding, gate, storage
from screening.studies.models import Image

logger = logging.getLogger(__name__)

PIXELS: Final = "pixels"
"""Folder of what was decoded before. No row points there, so the sweeper empties it of whatever
is older than a day: a cache that cannot grow without end."""
CONTENT_TYPE: Final = "application/vnd.thorascreen.pixels"
MARK: Final = b"THORAPIX"
VERSION: Final = 1
ALIGNMENT: Final = 16
TYPES: Final = {"|u1": "uint8", "<u2": "uint16", "<i2": "int16", "<f4": "float32"}
KEEP_ABOVE_S: Final = 0.25
"""Work that took longer is kept: pictures of some megapixels, compressed DICOM."""
QUICKLY: Final = 1
"""gzip's level: further ones take several times as long for a twentieth of the size."""


class Unreadable(PortalError):
    """An image that was accepted once and cannot be decoded now."""

    code = "image_unreadable"
    http_status = 409


class Busy(PortalError):
    """The machine has no memory or no time for the picture now; ``code`` says which."""

    code = "decoder_busy"
    http_status = 503


def serve_pixels(image: Image, *, gzipped: bool) -> HttpResponseBase:
    """The packed values of ``image``, which the caller may see; one line in the audit.

    :param gzipped: whether the browser takes gzip; every one does.
    :raises Http404: the original is missing in storage.
    :raises Unreadable: it cannot be decoded any more.
    """
    name = cached_name(image.pk)
    response: HttpResponseBase
    try:
        handle = default_storage.open(name, "rb")
    except FileNotFoundError:
        packed = _pack_and_keep(image, name)
        response = HttpResponse(
            packed if gzipped else gzip.decompress(packed), content_type=CONTENT_TYPE
        )
    else:
        if gzipped:
            response = FileResponse(handle, content_type=CONTENT_TYPE)
        else:
            with handle:
                response = HttpResponse(gzip.decompress(handle.read()), content_type=CONTENT_TYPE)
    if gzipped:
        response["Content-Encoding"] = "gzip"
    response["Vary"] = "Accept-Encoding"
    response["Cache-Control"] = "no-store, private"
    response["X-Content-Type-Options"] = "nosniff"
    record("image.view", image, detail={"rendition": "pixels"})
    return response


def names_in_use(_: Collection[UUID]) -> set[str]:
    """None: see ``PIXELS``."""
    return set()


def pack(found: imaging.GreyValues, image: Image) -> bytes:
    """The stream that this module's first paragraph describes, not yet compressed."""
    text = json.dumps(describe(found, image), separators=(",", ":")).encode()
    start = len(MARK) + 4
    whole = math.ceil((start + len(text)) / ALIGNMENT) * ALIGNMENT
    text = text.ljust(whole - start)
    return b"".join((MARK, len(text).to_bytes(4, "little"), text, found.values.tobytes()))


def describe(found: imaging.GreyValues, image: Image) -> dict[str, Any]:
    """What a viewer has to know beside the values; nothing of the patient."""
    header = found.header
    row_mm, column_mm = header.pixel_spacing or (None, None)
    return {
        "version": VERSION,
        "image": str(image.pk),
        "rows": header.height,
        "columns": header.width,
        "type": TYPES[found.values.dtype.str],
        "format": header.format,
        "bits_stored": header.bits_stored,
        "photometric": header.photometric,
        "inverted": found.inverted,
        "slope": found.slope,
        "intercept": found.intercept,
        "signed": found.values.dtype.kind != "u",
        "minimum": found.minimum,
        "maximum": found.maximum,
        "windows": [{"centre": one.centre, "width": one.width} for one in found.windows],
        "windows_from_file": found.from_file,
        "function": found.function,
        "curve": found.curve,
        "padding": list(found.padding) if found.padding is not None else None,
        "spacing": {
            "row_mm": row_mm,
            "column_mm": column_mm,
            "kind": header.spacing_kind,
        },
    }


def cached_name(image_id: UUID) -> str:
    """Where what was decoded of an image is kept, if it is."""
    return storage.new_name(PIXELS, image_id, f".v{VERSION}.gz")


def _pack_and_keep(image: Image, name: str) -> bytes:
    started = time.monotonic()
    packed = gzip.compress(pack(_decode(image), image), QUICKLY, mtime=0)
    if time.monotonic() - started > KEEP_ABOVE_S:
        try:
            storage.put(name, packed)
        except OSError as error:  # full, or somebody else was quicker: then it is made again
            logger.warning("decoded values were not kept: %s", type(error).__name__)
    return packed


def _decode(image: Image) -> imaging.GreyValues:
    try:
        data = storage.read(image.original)
    except FileNotFoundError:
        raise Http404 from None
    try:
        return decoding.decode_values(data, gate.LIMITS)
    except imaging.ImagingError as error:
        logger.error("a stored image cannot be decoded: %s", error.code)
    except decoding.Trouble as trouble:
        logger.error("a stored image was not opened: %s", trouble.code)
        if trouble.code in ("out_of_memory", "decoder_busy"):
            raise Busy(
                "The portal is too busy for the grey values now: try again later.",
                code=trouble.code,
            ) from None
    except MemoryError:
        raise Busy(
            "The portal is too busy for the grey values now: try again later.",
            code="out_of_memory",
        ) from None
    raise Unreadable(
        "The grey values of this image cannot be read; its 8-bit picture is shown instead."
    )
