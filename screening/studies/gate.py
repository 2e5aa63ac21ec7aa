"""The one validation gate: whatever the entrance, a file comes in through here or not at all.

Size, then content, then header, then a bounded decode (``ml.imaging``). What leaves here is
known to decode, and carries the renditions that pages show: pixels encoded anew, so that
nothing else a file may contain (names in its metadata, a second file behind the first) is ever
sent to a browser. Nothing of a file's content is logged.
"""

from __future__ import annotations

import hashlib
import io
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from django.core.files.base import File
from PIL import Image as Picture

from ml import imaging
from screening.core.errors import PortalError

LIMITS = imaging.DEFAULT_LIMITS
MAX_IMAGES_PER_STUDY = 100

DISPLAY_LONG_SIDE = 2048
THUMBNAIL_LONG_SIDE = 256
DISPLAY_QUALITY = 92
THUMBNAIL_QUALITY = 85

BIG_PICTURE_PIXELS = 8_000_000
_big_picture = threading.BoundedSemaphore(1)
"""Decoding takes up to twenty bytes a pixel, so each process decodes one big picture at a time."""

EXTENSIONS = {"png": ".png", "jpeg": ".jpg", "dicom": ".dcm"}
CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "dicom": "application/dicom"}
_HTTP_STATUS = {"too_large": 413, "out_of_memory": 503, "storage_unavailable": 503}


class UploadRefused(PortalError):
    """A file that does not come in; ``code`` is one of ``ml.imaging.Code`` or of this module."""

    code = "refused"
    http_status = 422

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, code=code)
        self.http_status = _HTTP_STATUS.get(code, 422)


@dataclass(frozen=True, slots=True, eq=False)
class CheckedImage:
    """A file that passed: its bytes, what its header says, and what pages show of it.

    ``display`` and ``thumbnail`` are 8-bit grey JPEGs with a long side of at most 2048 and 256
    pixels.
    """

    data: bytes
    sha256: str
    header: imaging.ImageHeader
    display: bytes
    thumbnail: bytes

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.header.format]


def too_large() -> UploadRefused:
    return _refusal(LIMITS.refusal("too_large"))


def too_many_files() -> UploadRefused:
    return UploadRefused(
        f"A study holds up to {MAX_IMAGES_PER_STUDY} images: start another study for the rest.",
        code="too_many_files",
    )


def store_unavailable() -> UploadRefused:
    """The disk is full or gone: nothing is wrong with the file."""
    return UploadRefused(
        "The portal could not store the image just now: send it again later, and tell your "
        "administrator if it happens again.",
        code="storage_unavailable",
    )


def read_bounded(content: bytes | File[bytes]) -> bytes:
    """The bytes of an upload, asking for its size before reading any of it.

    :raises UploadRefused: ``too_large`` or ``empty_file``.
    """
    if isinstance(content, bytes):
        data = content
    else:
        if content.size > LIMITS.max_bytes:
            raise too_large()
        data = content.read(LIMITS.max_bytes + 1)
    if len(data) > LIMITS.max_bytes:
        raise too_large()
    if not data:
        raise _refusal(LIMITS.refusal("empty_file"))
    return data


def fingerprint(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check_image(data: bytes) -> CheckedImage:
    """Judge the bytes of a file and draw its renditions.

    :raises UploadRefused: with the code and the sentence to show.
    """
    try:
        return _check(data)
    except imaging.ImagingError as error:
        raise _refusal(error) from None
    except MemoryError:
        raise UploadRefused(
            "The portal has not enough memory for this picture now: send it again later.",
            code="out_of_memory",
        ) from None


def _check(data: bytes) -> CheckedImage:
    header = imaging.read_header(data, LIMITS)
    with _turn_to_decode(header):
        decoded = imaging.decode(data, LIMITS)
        grey = Picture.fromarray(decoded.to_uint8())
        del decoded
    grey.thumbnail((DISPLAY_LONG_SIDE, DISPLAY_LONG_SIDE), Picture.Resampling.LANCZOS)
    display = _jpeg(grey, DISPLAY_QUALITY)
    grey.thumbnail((THUMBNAIL_LONG_SIDE, THUMBNAIL_LONG_SIDE), Picture.Resampling.LANCZOS)
    return CheckedImage(
        data=data,
        sha256=fingerprint(data),
        header=header,
        display=display,
        thumbnail=_jpeg(grey, THUMBNAIL_QUALITY),
    )


def _turn_to_decode(header: imaging.ImageHeader) -> AbstractContextManager[object]:
    big = header.width * header.height * header.frames > BIG_PICTURE_PIXELS
    return _big_picture if big else nullcontext()


def _jpeg(grey: Picture.Image, quality: int) -> bytes:
    target = io.BytesIO()
    grey.save(target, "JPEG", quality=quality)
    return target.getvalue()


def _refusal(error: imaging.ImagingError) -> UploadRefused:
    return UploadRefused(error.message, code=error.code)
