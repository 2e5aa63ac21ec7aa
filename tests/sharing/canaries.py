"""A DICOM file in which every place that can hold words or numbers holds a canary.

Every attribute of the data dictionary, whatever its type; private blocks; sequences in sequences;
file meta, preamble and trailing bytes; overlays, curves, and the spare bits of the pixels; names in
character sets of three scripts; comments in the codestream of a compressed picture.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
import pydicom
from PIL import Image as Picture
from pydicom import uid
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from ml.phantom import phantom_dicom
from screening.sharing import profile

WORD: Final = "ZQVOGEL"
NUMBER: Final = "918273645"
DAY: Final = "19370523"
UID: Final = "1.2.826.0.1.918273645.7"
AGE: Final = "097Y"
CLOCK: Final = "231749"
NAMES: Final = ("Vögelein^Zoë", "Канарейка", "金絲雀^小鳥")
# Whatever way a text may have been written down.
SPELLINGS: Final = (
    *tuple(
        text.encode(coding)
        for text in (WORD, NUMBER, DAY, AGE, CLOCK, "23:17:49", "1937-05-23")
        for coding in ("ascii", "utf-16-le", "utf-16-be")
    ),
    "Vögelein".encode(),
    "Vögelein".encode("latin-1"),
    "Канарейка".encode(),
    "Канарейка".encode("iso-8859-5"),
    "金絲雀".encode(),
    "金絲雀".encode("gb18030"),
)
# The picture itself, and what says how to read its bytes.
PICTURE: Final = frozenset(
    {
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PixelData",
        "FloatPixelData",
        "DoubleFloatPixelData",
        "SpecificCharacterSet",
        "SOPClassUID",
        "Modality",
        "TransferSyntaxUID",
        "CompressedPixelData",
        "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths",
        "SmallestImagePixelValue",
        "LengthToEnd",
        "PixelPaddingValue",
        "PixelPaddingRangeLimit",
        "LUTDescriptor",
        "LUTData",
    }
)
TEXTS: Final = ("AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT", "UR", "PN")
BYTES: Final = ("OB", "OW", "UN", "OD", "OF", "OL", "OV")


def _put(dataset: Dataset, tag: int, vr: str) -> None:
    vr = vr.split(" or ")[-1] if "OW" not in vr else "OW"
    if vr == "PN":
        dataset.add_new(tag, vr, f"{WORD}^{WORD}")
    elif vr in TEXTS:
        dataset.add_new(tag, vr, WORD)
    elif vr in ("DS", "IS"):
        dataset.add_new(tag, vr, NUMBER)
    elif vr == "DA":
        dataset.add_new(tag, vr, DAY)
    elif vr == "DT":
        dataset.add_new(tag, vr, f"{DAY}{CLOCK}")
    elif vr == "TM":
        dataset.add_new(tag, vr, CLOCK)
    elif vr == "AS":
        dataset.add_new(tag, vr, AGE)
    elif vr == "UI":
        dataset.add_new(tag, vr, UID)
    elif vr in BYTES:
        dataset.add_new(tag, vr, (WORD * 8).encode())
    elif vr in ("UL", "SL", "UV", "SV"):
        dataset.add_new(tag, vr, int.from_bytes(WORD[:4].encode(), "little"))
    elif vr == "FD":
        dataset.add_new(tag, vr, float(np.frombuffer(b"ZQVOGEL!", "<f8")[0]))
    elif vr == "FL":
        dataset.add_new(tag, vr, float(np.frombuffer(b"VOGE", "<f4")[0]))
    elif vr == "SQ":
        item = Dataset()
        item.PatientName = f"{WORD}^nested"
        item.PatientComments = WORD
        item.ReferencedSOPInstanceUID = UID
        item.CodeMeaning = WORD
        inner = Dataset()
        inner.OtherPatientNames = WORD
        inner.add_new(0x00111001, "LO", WORD)
        item.RequestAttributesSequence = Sequence([inner])
        dataset.add_new(tag, vr, Sequence([item]))


def attributes() -> Iterator[tuple[int, str]]:
    """Every attribute of the dictionary that a data set may hold, with its keyword."""
    for tag, (_vr, _vm, _name, _retired, keyword) in DicomDictionary.items():
        group = tag >> 16
        # Command groups, file meta and delimiters are no part of a data set.
        if keyword and group not in (0x0000, 0x0002, 0x0004, 0xFFFE) and keyword not in PICTURE:
            yield tag, keyword


@cache
def everywhere(*, compressed: bool = False) -> bytes:
    """The file."""
    dataset = pydicom.dcmread(
        io.BytesIO(phantom_dicom(3, "normal", size=(256, 256), bits=12, window=(2048, 4096)))
    )
    for tag, keyword in attributes():
        _put(dataset, tag, dictionary_VR(keyword))
    for group, element in profile.ACTIONS:  # What is younger than the dictionary.
        if group > 0x0004 and (group, element) not in dataset and not _is_picture(group, element):
            dataset.add_new((group, element), "LO", WORD)
    for group in range(0x6000, 0x6020, 2):
        dataset.add_new((group, 0x3000), "OW", (WORD * 16).encode() + b"!" * 16)
        dataset.add_new((group, 0x4000), "LT", WORD)
        dataset.add_new((group, 0x0022), "LO", WORD)
    dataset.add_new((0x5000, 0x3000), "OW", (WORD * 16).encode())
    dataset.add_new((0x5000, 0x2500), "LO", WORD)
    for group in (0x0009, 0x0011, 0x0029, 0x7FE1):
        block = dataset.private_block(group, f"{WORD} MAKER", create=True)
        block.add_new(0x01, "LO", WORD)
        block.add_new(0x02, "UN", WORD.encode() + b"!")
        block.add_new(0x03, "OB", WORD.encode() + b"!")
    for keyword in ("ModalityLUTSequence", "VOILUTSequence"):
        table = Dataset()
        table.add_new("LUTDescriptor", "US", [64, 0, 16])
        table.add_new("LUTData", "OW", (WORD * 32).encode()[:128])
        table.LUTExplanation = WORD
        setattr(dataset, keyword, Sequence([table]))
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "=".join((NAMES[0], NAMES[2]))
    dataset.OtherPatientNames = list(NAMES)
    dataset.DataSetTrailingPadding = (WORD * 4).encode()
    dataset.preamble = (WORD * 19).encode()[:128]
    _spare_bits(dataset)
    if compressed:
        _compress(dataset)
    meta = dataset.file_meta
    meta.SourceApplicationEntityTitle = WORD
    meta.ImplementationVersionName = WORD
    meta.PrivateInformationCreatorUID = UID
    meta.PrivateInformation = WORD.encode() + b"!"
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=False)
    return stream.getvalue()


def _is_picture(group: int, element: int) -> bool:
    return keyword_for_tag((group, element)) in PICTURE


def _spare_bits(dataset: Dataset) -> None:
    """An overlay as old machines hid it: a bit of each pixel's word above those that are used."""
    words = np.frombuffer(dataset.PixelData, "<u2").copy()
    words |= 0x8000
    dataset.PixelData = words.tobytes()


def _compress(dataset: Dataset) -> None:
    """As baseline JPEG with the canary in a comment and in an EXIF segment."""
    grey = Picture.fromarray((np.arange(256 * 256) % 251).astype(np.uint8).reshape(256, 256))
    stream = io.BytesIO()
    grey.save(stream, "JPEG", quality=90, comment=WORD.encode())
    data = stream.getvalue()
    exif = b"Exif\0\0" + WORD.encode() * 4
    data = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = encapsulate([data])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    for keyword in ("ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "WindowWidth"):
        del dataset[keyword]


def found_in(data: bytes) -> list[bytes]:
    """The canaries that ``data`` holds."""
    return [one for one in SPELLINGS if one in data]
