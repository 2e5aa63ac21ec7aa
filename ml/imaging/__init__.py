"""From the bytes of a file to a checked picture; the one gate for every picture that comes in.

The order is fixed: size, then type by content, then header, then a decode whose cost the header has
bounded. A file is either decoded or refused with an ``ImagingError``; no other exception leaves
here, whatever the bytes, but those that ``Limits.interrupts`` names. Names and extensions play no
part. Needs numpy, Pillow and pydicom only.
"""

from __future__ import annotations

from pydicom import Dataset

from ml.imaging.base import (
    DEFAULT_LIMITS,
    MESSAGES,
    Code,
    DecodedImage,
    Format,
    ImageHeader,
    ImagingError,
    Limits,
)
from ml.imaging.dicom import (
    StoredPicture,
    decode_dicom,
    decode_dicom_stored,
    decode_dicom_values,
    looks_like_dicom,
    read_dicom_dataset,
    read_dicom_header,
)
from ml.imaging.raster import decode_raster, decode_raster_values, read_raster_header
from ml.imaging.values import GreyValues, Window

__all__ = [
    "DEFAULT_LIMITS",
    "MESSAGES",
    "Code",
    "DecodedImage",
    "Format",
    "GreyValues",
    "ImageHeader",
    "ImagingError",
    "Limits",
    "StoredPicture",
    "Window",
    "decode",
    "decode_stored",
    "decode_values",
    "read_dataset",
    "read_header",
    "sniff",
]

PNG_MARK = b"\x89PNG\r\n\x1a\n"
JPEG_MARK = b"\xff\xd8\xff"


def sniff(data: bytes) -> Format:
    """The type of a file by its content.

    :raises ImagingError: ``empty_file`` or ``unsupported_type``.
    """
    if not data:
        DEFAULT_LIMITS.refuse("empty_file")
    if data.startswith(PNG_MARK):
        return "png"
    if data.startswith(JPEG_MARK):
        return "jpeg"
    if looks_like_dicom(data):
        return "dicom"
    DEFAULT_LIMITS.refuse("unsupported_type")


def read_header(data: bytes, limits: Limits = DEFAULT_LIMITS) -> ImageHeader:
    """Check everything that can be checked before a pixel is decoded.

    :raises ImagingError: with any of the codes of ``ml.imaging.Code``.
    """
    if len(data) > limits.max_bytes:
        limits.refuse("too_large")
    kind = sniff(data)
    if kind == "dicom":
        return read_dicom_header(data, limits)
    return read_raster_header(data, kind, limits)


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> DecodedImage:
    """Check and decode a file.

    Decoding takes memory of up to about twenty bytes a pixel for DICOM and five for the others.

    :returns: greys as displayed, (h, w) float32 in [0, 1], white is dense: rescale, window or
        lookup table and polarity of DICOM applied, EXIF rotation undone, colours turned grey,
        transparent parts black.
    :raises ImagingError: with any of the codes of ``ml.imaging.Code``.
    """
    if len(data) > limits.max_bytes:
        limits.refuse("too_large")
    kind = sniff(data)
    if kind == "dicom":
        return decode_dicom(data, limits)
    return decode_raster(data, kind, limits)


def decode_values(data: bytes, limits: Limits = DEFAULT_LIMITS) -> GreyValues:
    """Check and decode a file, with the values as the file has them instead of displayed greys.

    A person who moves the window needs what lies outside it. Costs the memory of ``decode``.

    :raises ImagingError: with any of the codes of ``ml.imaging.Code``.
    """
    if len(data) > limits.max_bytes:
        limits.refuse("too_large")
    kind = sniff(data)
    if kind == "dicom":
        return decode_dicom_values(data, limits)
    return decode_raster_values(data, kind, limits)


def decode_stored(data: bytes, limits: Limits = DEFAULT_LIMITS) -> StoredPicture:
    """Check and decode a DICOM file, with its stored values untouched.

    :raises ImagingError: with any of the codes of ``ml.imaging.Code``; ``unsupported_type`` for
        what is not DICOM.
    """
    if len(data) > limits.max_bytes:
        limits.refuse("too_large")
    if sniff(data) != "dicom":
        limits.refuse("unsupported_type")
    return decode_dicom_stored(data, limits)


def read_dataset(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Dataset:
    """What a DICOM file that was decoded before says beside its pixels; it names the patient.

    For those who make another file of it; never to be logged or shown.

    :raises ImagingError: with any of the codes of ``ml.imaging.Code``.
    """
    if sniff(data) != "dicom":
        limits.refuse("unsupported_type")
    return read_dicom_dataset(data, limits)
