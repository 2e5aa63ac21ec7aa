"""The one validation gate: whatever the entrance, a file comes in through here or not at all.

Size, then content, then header, then a bounded decode (``ml.imaging``), all of it in a process
that can do nothing else (``studies.decoding``). What leaves here is known to decode, and carries
the renditions that pages show: pixels encoded anew, so that nothing else a file may contain (names
in its metadata, a second file behind the first) is ever sent to a browser. Nothing of a file's
content is logged.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.core.files.base import File
from django.utils.translation import gettext as _
from PIL import Image as Picture

from ml import imaging
from screening.core.errors import PortalError
from screening.studies import decoding

logger = logging.getLogger(__name__)

LIMITS = imaging.DEFAULT_LIMITS
MAX_IMAGES_PER_STUDY = 100

PREAMBLE_BYTES = 128
DISPLAY_LONG_SIDE = 2048
THUMBNAIL_LONG_SIDE = 256
DISPLAY_QUALITY = 92
THUMBNAIL_QUALITY = 85

EXTENSIONS = {"png": ".png", "jpeg": ".jpg", "dicom": ".dcm"}
CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "dicom": "application/dicom"}
_HTTP_STATUS = {
    "too_large": 413,
    "too_many_uploads": 429,
    "out_of_memory": 503,
    "decoder_busy": 503,
    "storage_unavailable": 503,
    "storage_key_missing": 503,
}


class UploadRefused(PortalError):
    """A file that does not come in.

    ``code`` is one of ``ml.imaging.Code``, of ``studies.decoder.process`` or of this module.
    """

    code = "refused"
    http_status = 422

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, code=code)
        self.http_status = _HTTP_STATUS.get(code, 422)


@dataclass(frozen=True, slots=True, eq=False)
class CheckedImage:
    """A file that passed: its bytes, what its header says, and what pages show of it.

    ``display`` and ``thumbnail`` are 8-bit grey JPEGs with a long side of at most 2048 and 256
    pixels. ``stated`` is whom a film names, for ``studies.identity``.
    """

    data: bytes
    sha256: str
    header: imaging.ImageHeader
    display: bytes
    thumbnail: bytes
    stated: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.header.format]


def too_large() -> UploadRefused:
    return _refusal(LIMITS.refusal("too_large"))


def too_many_files() -> UploadRefused:
    sentence = _("A study holds up to %(count)s images: start another study for the rest.")
    return UploadRefused(sentence % {"count": MAX_IMAGES_PER_STUDY}, code="too_many_files")


def store_unavailable() -> UploadRefused:
    """The disk is full or gone: nothing is wrong with the file."""
    return UploadRefused(
        _(
            "The portal could not store the image just now: send it again later, and tell your "
            "administrator if it happens again."
        ),
        code="storage_unavailable",
    )


def not_stored(error: PortalError) -> UploadRefused:
    """The storage's own refusal, as one of the file."""
    return UploadRefused(error.message, code=error.code)


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
    return _without_preamble(data)


def _without_preamble(data: bytes) -> bytes:
    """The bytes with nothing before the mark of DICOM.

    What stands there is no part of the film (PS3.10 section 7.1), but makes the file a program, a
    page or an archive for whoever opens it by its first bytes. So it never gets into the store;
    refusing such a file would keep sound films of careless machines out.
    """
    start = data[:PREAMBLE_BYTES]
    if data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM" and any(start):
        return bytes(PREAMBLE_BYTES) + data[PREAMBLE_BYTES:]
    return data


def fingerprint(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check_image(data: bytes) -> CheckedImage:
    """Judge the bytes of a file and draw its renditions.

    :raises UploadRefused: with the code and the sentence to show.
    """
    try:
        seen = decoding.look(data, LIMITS)
        display, thumbnail = _renditions(seen)
    except imaging.ImagingError as error:
        raise _refusal(error) from None
    except decoding.Trouble as trouble:
        logger.warning("a file was not opened: %s", trouble.code)
        raise _not_opened(trouble.code) from None
    except MemoryError:
        raise _not_opened("out_of_memory") from None
    return CheckedImage(
        data=data,
        sha256=fingerprint(data),
        header=seen.header,
        display=display,
        thumbnail=thumbnail,
        stated=seen.stated,
    )


def _renditions(seen: decoding.Look) -> tuple[bytes, bytes]:
    """Display and thumbnail, as ``CheckedImage`` has them."""
    grey = Picture.fromarray(seen.grey)
    grey.thumbnail((DISPLAY_LONG_SIDE, DISPLAY_LONG_SIDE), Picture.Resampling.LANCZOS)
    display = _jpeg(grey, DISPLAY_QUALITY)
    grey.thumbnail((THUMBNAIL_LONG_SIDE, THUMBNAIL_LONG_SIDE), Picture.Resampling.LANCZOS)
    return display, _jpeg(grey, THUMBNAIL_QUALITY)


def _jpeg(grey: Picture.Image, quality: int) -> bytes:
    target = io.BytesIO()
    grey.save(target, "JPEG", quality=quality)
    return target.getvalue()


def _not_opened(code: decoding.TroubleCode) -> UploadRefused:
    """Nobody knows whether the file is to blame; sending it again does no harm."""
    sentences = {
        "decoder_died": _(
            "This picture could not be opened safely: export it again from where it came."
        ),
        "decode_timeout": _(
            "This picture takes too long to open: export it again from where it came."
        ),
        "decoder_busy": _("The portal opens many pictures just now: send it again in a minute."),
        "out_of_memory": _(
            "The portal has not enough memory for this picture now: send it again later."
        ),
    }
    return UploadRefused(sentences[code], code=code)


def _refusal(error: imaging.ImagingError) -> UploadRefused:
    """The reader's refusal in the language of the page, with the limits that hold here."""
    sentence = _(imaging.MESSAGES[error.code]).format(
        megabytes=round(LIMITS.max_bytes / 1024 / 1024, 1),
        megapixels=round(LIMITS.max_pixels / 1e6, 1),
        min_side=LIMITS.min_side,
    )
    return UploadRefused(sentence, code=error.code)
