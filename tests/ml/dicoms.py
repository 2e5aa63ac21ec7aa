"""Small DICOM files for tests, with any tag changed, any codestream inside."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import uid
from pydicom.encaps import encapsulate

from ml.imaging import Limits
from ml.phantom import encode_dicom

AMBIGUOUS = ("PixelPaddingValue", "PixelPaddingRangeLimit", "LUTDescriptor", "LUTData")
"""Tags whose type hangs on the pixels' sign: here always unsigned."""
TINY = Limits(min_side=4)


def ramp(bits: int = 12, side: int = 16, signed: bool = False) -> npt.NDArray[np.int32]:
    """Stored values that use the whole range of the bits, (side, side)."""
    top = 2**bits - 1
    values = np.linspace(0, top, side * side).round().astype(np.int32).reshape(side, side)
    return values - 2 ** (bits - 1) if signed else values


def with_tags(data: bytes, **tags: Any) -> bytes:
    """The file with tags set, or removed where the value is None."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        elif keyword in AMBIGUOUS:
            dataset.add_new(keyword, "US", value)
        else:
            setattr(dataset, keyword, value)
    return written(dataset)


def nameless(data: bytes) -> bytes:
    """The file without its patient, so that it may be anybody's."""
    return with_tags(data, PatientID=None, PatientName=None, PatientBirthDate=None)


def written(dataset: pydicom.Dataset) -> bytes:
    """The dataset as a file."""
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def with_codestream(
    codestream: bytes, syntax: uid.UID, shape: tuple[int, int], bits: int, signed: bool = False
) -> bytes:
    """A CR file around a compressed frame that was made elsewhere."""
    blank = encode_dicom(np.zeros(shape, dtype=np.int32), bits=bits, signed=signed, modality="CR")
    dataset = pydicom.dcmread(io.BytesIO(blank))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return written(dataset)


def lossless_jpeg(values: npt.NDArray[np.int32], bits: int) -> bytes:
    """A lossless JPEG codestream (process 14, selection value 1), as ITU-T T.81 annex H has it."""
    height, width = values.shape
    # seventeen difference categories, all with codes of five bits
    table = bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    head = b"\xff\xd8"
    head += b"\xff\xc3" + struct.pack(">HBHHB", 11, bits, height, width, 1) + b"\x01\x11\x00"
    head += b"\xff\xc4" + struct.pack(">HB", 3 + len(table), 0) + table
    head += b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\x01\x00" + b"\x01\x00\x00"
    text = []
    for row in range(height):
        for column in range(width):
            if column:
                guess = int(values[row, column - 1])
            else:
                guess = int(values[row - 1, 0]) if row else 2 ** (bits - 1)
            difference = int(values[row, column]) - guess
            category = abs(difference).bit_length()
            extra = difference if difference > 0 else difference + 2**category - 1
            # the largest difference is alone in its category and needs no bits to tell it
            written_out = f"{extra:0{category}b}" if 0 < category < 16 else ""
            text.append(f"{category:05b}" + written_out)
    stream = "".join(text)
    stream += "1" * (-len(stream) % 8)
    packed = bytes(int(stream[i : i + 8], 2) for i in range(0, len(stream), 8))
    return head + packed.replace(b"\xff", b"\xff\x00") + b"\xff\xd9"
