"""DICOM: header and pixels, through pydicom.

Nothing here trusts the file. The header decides first, from an allow-list; a deflated dataset is
unfolded under a bound; a compressed picture must have in its own codestream the size that the
header promised, before a decoder sees it. Datasets hold patients: they are never logged, and no
parser's words leave this module.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import config, uid
from pydicom.datadict import keyword_for_tag
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder

from ml.imaging import codestream
from ml.imaging.base import (
    BoundedReader,
    DecodedImage,
    ImageHeader,
    ImagingError,
    Limits,
    SpacingKind,
)
from ml.imaging.values import GreyValues, grey_values
from ml.imaging.window import display

T = TypeVar("T")

# pydicom would otherwise quote invalid values, and so patients, in warnings and in its log
config.settings.reading_validation_mode = config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, eq=False)
class StoredPicture:
    """A DICOM picture before any transformation, (h, w).

    What lies in its words above ``BitsStored`` may be anything.
    """

    values: npt.NDArray[Any]
    header: ImageHeader


MAGIC: Final = b"DICM"
PREAMBLE: Final = 128
META_START: Final = PREAMBLE + len(MAGIC)
HEADER_BYTES: Final = 8 * 1024 * 1024
"""How much of a deflated dataset is unfolded to find its header."""
MOST_VALUE_BYTES: Final = 1024 * 1024
"""Of one element beside the pixels; seven of the largest lookup tables fit."""
MOST_FRAGMENTS: Final = 65_536
END_OF_CODESTREAM: Final = b"\xff\xd9"
"""Of JPEG, JPEG-LS and JPEG 2000 alike; PS3.5 section A.4 wants it in the last fragment."""
MOST_PADDING: Final = 64
ITEM_MARK: Final = b"\xfe\xff\x00\xe0"

RADIOGRAPH_MODALITIES: Final = ("CR", "DX")
RADIOGRAPH_CLASSES: Final = (
    uid.ComputedRadiographyImageStorage,
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalXRayImageStorageForProcessing,
)
CAPTURE_CLASSES: Final = (uid.SecondaryCaptureImageStorage,)
"""Accepted only when the modality itself says CR or DX."""

NATIVE_SYNTAXES: Final = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
JPEG_SYNTAXES: Final = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
)
JPEG2000_SYNTAXES: Final = (
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)
SYNTAXES: Final = (*NATIVE_SYNTAXES, uid.RLELossless, *JPEG_SYNTAXES, *JPEG2000_SYNTAXES)

PICTURE_TAGS: Final = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "PhotometricInterpretation",
)
TABLE_TAGS: Final = ("ModalityLUTSequence", "VOILUTSequence")
LONG_VRS: Final = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")
FIRST_YEAR: Final = 1895
UID_TEXT: Final = re.compile(r"[0-9.]{1,64}")
WORD_TEXT: Final = re.compile(r"[A-Z0-9_ ]{1,16}")


def looks_like_dicom(data: bytes) -> bool:
    """Whether the content is DICOM: by its mark, or, without a preamble, by a plausible first
    element."""
    if data[PREAMBLE:META_START] == MAGIC:
        return True
    if len(data) < 16 or data[0] not in (2, 8) or data[1] != 0 or data[3] != 0:
        return False
    explicit = data[4:6] in (b"UL", b"UI", b"CS", b"DA", b"TM", b"OB", b"LO", b"SH", b"AE", b"DT")
    return explicit or int.from_bytes(data[4:8], "little") <= 1024


def read_dicom_header(data: bytes, limits: Limits) -> ImageHeader:
    """:raises ImagingError: see ``ml.imaging.read_header``."""
    try:
        dataset, syntax = _read(data, limits, header_only=True)
        return _header(dataset, syntax, limits)
    except ImagingError:
        raise
    except limits.interrupts:
        raise
    # a damaged file makes the parser raise nearly anything
    except Exception:
        limits.refuse("corrupt_image")


def decode_dicom(data: bytes, limits: Limits) -> DecodedImage:
    """:raises ImagingError: see ``ml.imaging.decode``."""
    header, pixels = _through(data, limits, lambda stored, dataset, _: display(stored, dataset))
    if not np.isfinite(pixels).all():
        limits.refuse("corrupt_image")
    return DecodedImage(pixels, header)


def decode_dicom_values(data: bytes, limits: Limits) -> GreyValues:
    """:raises ImagingError: see ``ml.imaging.decode_values``."""
    return _through(data, limits, grey_values)[1]


def decode_dicom_stored(data: bytes, limits: Limits) -> StoredPicture:
    """:raises ImagingError: see ``ml.imaging.decode_stored``."""
    header, values = _through(data, limits, lambda stored, _dataset, _header: stored)
    kind = np.dtype(f"<{values.dtype.kind}{values.dtype.itemsize}")
    return StoredPicture(np.ascontiguousarray(values.astype(kind, copy=False)), header)


def read_dicom_dataset(data: bytes, limits: Limits) -> pydicom.Dataset:
    """:raises ImagingError: see ``ml.imaging.read_dataset``."""
    try:
        dataset: pydicom.Dataset = _read(data, limits, header_only=True)[0]
        return dataset
    except ImagingError:
        raise
    except limits.interrupts:
        raise
    except Exception:
        limits.refuse("corrupt_image")


def _through(
    data: bytes, limits: Limits, see: Callable[[npt.NDArray[Any], Any, ImageHeader], T]
) -> tuple[ImageHeader, T]:
    """Check and decode a file, and hand stored values, dataset and header to ``see``."""
    header = read_dicom_header(data, limits)
    try:
        dataset, syntax = _read(data, limits, header_only=False)
        # the header of the whole file is checked again: what was promised must be what is decoded
        if _header(dataset, syntax, limits) != header or "PixelData" not in dataset:
            limits.refuse("corrupt_image")
        _check_codestream(dataset, header, limits)
        stored = _stored(dataset)
        if stored.shape != (header.height, header.width):
            limits.refuse("corrupt_image")
        return header, see(stored, dataset, header)
    except ImagingError:
        raise
    except limits.interrupts:
        raise
    except Exception:
        limits.refuse("corrupt_image")


def _stored(dataset: Any) -> npt.NDArray[Any]:
    """The stored values, wherever in their words the file keeps them.

    Nearly every file has them at the bottom. One may have them further up (PS3.5 section 8.1.1,
    High Bit), and pydicom would hand out what lies below; ``_header`` lets that through for
    uncompressed pixels only.
    """
    bits, word = int(dataset.BitsStored), int(dataset.BitsAllocated)
    above = word - 1 - int(dataset.get("HighBit", bits - 1))
    if above == word - bits:
        whole: npt.NDArray[Any] = dataset.pixel_array
        return whole
    dataset.BitsStored = word
    words: npt.NDArray[Any] = dataset.pixel_array
    dataset.BitsStored = bits
    # up until the sign is the word's own, then down: numpy keeps the sign when it shifts right
    return (words << above) >> (word - bits)


def _read(data: bytes, limits: Limits, *, header_only: bool) -> tuple[Any, str]:
    """The dataset and the transfer syntax that the file declares."""
    marked = data[PREAMBLE:META_START] == MAGIC
    syntax = ""
    if marked:
        end, syntax_at, syntax = _meta_end(data)
        if end > MOST_VALUE_BYTES:
            limits.refuse("corrupt_image")
        if syntax == uid.DeflatedExplicitVRLittleEndian:
            body = _inflate(data[end:], limits, header_only=header_only)
            plain = uid.ExplicitVRLittleEndian.encode().ljust(len(syntax), b"\0")
            data = data[:syntax_at] + plain + data[syntax_at + len(plain) : end] + body
    source = BoundedReader(data)
    dataset = pydicom.dcmread(source, force=not marked, stop_before_pixels=header_only)
    _drop_bulk(dataset, limits)
    if not syntax:
        # a dataset without its preamble does not say; pydicom found out while reading
        implicit, little = dataset.original_encoding
        syntax = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
        if not little:
            syntax = uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    return dataset, str(syntax)


def _drop_bulk(dataset: Any, limits: Limits) -> None:
    """Take out what is too long to be anything that is read here.

    pydicom turns the bytes of an element into values when it is first asked for; whoever calls
    the number of rows a sequence of a million items would have them all made then.
    """
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        keyword = keyword_for_tag(tag)
        if keyword == "PixelData" or not isinstance(element.value, bytes):
            continue
        if len(element.value) > MOST_VALUE_BYTES:
            if keyword in TABLE_TAGS:  # The picture would look another way without it.
                limits.refuse("corrupt_image")
            del dataset[tag]


def _inflate(packed: bytes, limits: Limits, *, header_only: bool) -> bytes:
    """Unfold a deflated dataset under a bound; pydicom itself would unfold it whatever its size."""
    bound = HEADER_BYTES if header_only else limits.max_dataset_bytes
    unfolder = zlib.decompressobj(-zlib.MAX_WBITS)
    body = unfolder.decompress(packed, bound)
    if not header_only and not unfolder.eof:
        # either it goes on beyond the bound, or the file breaks off
        limits.refuse("too_many_pixels" if len(body) >= bound else "corrupt_image")
    return body


def _meta_end(data: bytes) -> tuple[int, int, str]:
    """Where the file's meta group ends, where its transfer syntax stands, and what it is."""
    place, syntax_at, syntax = META_START, 0, ""
    while data[place : place + 2] == b"\x02\x00":
        tag, kind = data[place + 2 : place + 4], data[place + 4 : place + 6]
        if kind in LONG_VRS:
            start = place + 12
            length = int.from_bytes(data[place + 8 : start], "little")
        else:
            start = place + 8
            length = int.from_bytes(data[place + 6 : start], "little")
        if tag == b"\x10\x00":
            syntax_at, syntax = (
                start,
                data[start : start + length].rstrip(b"\0 ").decode("ascii", "replace"),
            )
        place = start + length
    return place, syntax_at, syntax


def _header(dataset: Any, syntax: str, limits: Limits) -> ImageHeader:
    modality = _word(dataset, "Modality")
    sop_class = _uid(dataset, "SOPClassUID") or _uid(dataset.file_meta, "MediaStorageSOPClassUID")
    by_class = sop_class in RADIOGRAPH_CLASSES
    by_modality = modality in RADIOGRAPH_MODALITIES
    if not (by_class and (by_modality or not modality)) and not (
        sop_class in CAPTURE_CLASSES and by_modality
    ):
        limits.refuse("not_a_radiograph_modality")

    if any(keyword not in dataset for keyword in PICTURE_TAGS):
        limits.refuse("corrupt_image")
    frames = int(dataset.get("NumberOfFrames") or 1)
    allocated, bits = int(dataset.get("BitsAllocated") or 0), int(dataset.get("BitsStored") or 0)
    photometric = _word(dataset, "PhotometricInterpretation")
    if (
        syntax not in SYNTAXES
        or not get_decoder(uid.UID(syntax)).is_available
        or photometric not in ("MONOCHROME1", "MONOCHROME2")
        or int(dataset.get("SamplesPerPixel") or 1) != 1
        or frames != 1
        or allocated not in (8, 16)
    ):
        limits.refuse("unsupported_type")
    high_bit = int(dataset.get("HighBit", bits - 1))
    if not 1 <= bits <= allocated or not bits - 1 <= high_bit < allocated:
        limits.refuse("corrupt_image")
    if high_bit != bits - 1 and syntax not in NATIVE_SYNTAXES:
        limits.refuse("unsupported_type")
    width, height = int(dataset.Columns), int(dataset.Rows)
    limits.check_extent(width, height, frames)
    return ImageHeader(
        format="dicom",
        width=width,
        height=height,
        frames=frames,
        bits_stored=bits,
        photometric=photometric,
        modality=modality,
        sop_class_uid=sop_class,
        transfer_syntax_uid=syntax,
        view_position=_word(dataset, "ViewPosition"),
        laterality=_word(dataset, "ImageLaterality") or _word(dataset, "Laterality"),
        body_part=_word(dataset, "BodyPartExamined"),
        study_uid=_uid(dataset, "StudyInstanceUID"),
        series_uid=_uid(dataset, "SeriesInstanceUID"),
        sop_uid=_uid(dataset, "SOPInstanceUID"),
        taken_on=_day(dataset, "AcquisitionDate") or _day(dataset, "StudyDate"),
        pixel_spacing=_spacing(dataset, "PixelSpacing") or _spacing(dataset, "ImagerPixelSpacing"),
        spacing_kind=_spacing_kind(dataset),
    )


def _check_codestream(dataset: Any, header: ImageHeader, limits: Limits) -> None:
    syntax = header.transfer_syntax_uid
    if syntax in NATIVE_SYNTAXES:
        return
    if dataset.PixelData.count(ITEM_MARK) > MOST_FRAGMENTS:
        limits.refuse("corrupt_image")
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if syntax == uid.RLELossless:
        planes = int(dataset.BitsAllocated) // 8
        fits = codestream.rle_fits(frame, header.width * header.height, planes)
    else:
        read = codestream.jpeg2000_extent if syntax in JPEG2000_SYNTAXES else codestream.jpeg_extent
        # Decoders take a codestream that breaks off for a picture whose last rows are grey.
        ends = END_OF_CODESTREAM in frame[-MOST_PADDING:]
        fits = ends and read(frame) == (header.width, header.height, 1)
    if not fits:
        limits.refuse("corrupt_image")


def _uid(dataset: Any, keyword: str) -> str:
    text = str(dataset.get(keyword) or "").strip("\0 ")
    return text if UID_TEXT.fullmatch(text) else ""


def _word(dataset: Any, keyword: str) -> str:
    """A coded word in capitals, or nothing: free text is not let through."""
    text = str(dataset.get(keyword) or "").strip("\0 ").upper()
    return text if WORD_TEXT.fullmatch(text) else ""


def _day(dataset: Any, keyword: str) -> date | None:
    """A date of DICOM's form YYYYMMDD (PS3.5, VR DA), or nothing: also for days before X-rays."""
    text = str(dataset.get(keyword) or "").strip("\0 ")
    try:
        day = datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None
    return day if day.year >= FIRST_YEAR else None


def _spacing(dataset: Any, keyword: str) -> tuple[float, float] | None:
    try:
        row, column = (float(v) for v in dataset.get(keyword))
    except (TypeError, ValueError):
        return None
    return (row, column) if 0 < row < 100 and 0 < column < 100 else None


def _spacing_kind(dataset: Any) -> SpacingKind:
    """Where the spacing holds (DICOM PS3.3 section 10.7.1.3)."""
    pixel, imager = _spacing(dataset, "PixelSpacing"), _spacing(dataset, "ImagerPixelSpacing")
    if pixel is None:
        return "detector" if imager is not None else ""
    if _word(dataset, "PixelSpacingCalibrationType") or (imager is not None and pixel != imager):
        return "calibrated"
    return "detector" if imager is not None else "unstated"
