"""A radiograph as a DICOM file that names nobody (PS3.15 annex E, basic profile).

Nothing is taken out of the file that came: another one is written, into which goes what
``sharing.profile`` lets pass. Pixels are decoded and encoded anew, without what a codestream may
carry beside them and without the bits above those that are used; preamble, file meta, private
attributes, curves, overlays and whatever follows the pixels are simply not there.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from screening.sharing import profile
from screening.sharing.blackout import Box, blacken

IMPLEMENTATION: Final = uid.UID("2.25.161438137287353541137943437853139716405")
EMPTY: Final = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
    "SeriesNumber",
)
"""Of type 2 in the modules that a radiograph has: present, but empty."""
DATES: Final = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
OLDEST_SAID: Final = 89
"""Ages above it are told as 90 (45 CFR 164.514(b)(2)(i)(C)): there are too few such people."""


@dataclass(frozen=True)
class StandIn:
    """What stands for the patient, the study and the image in the file that is written.

    ``shift`` moves dates; None leaves them out. ``sex`` and ``age`` (years) are empty unless they
    are to be kept. ``day`` is when the film was taken as far as it is known, not yet shifted.
    """

    patient: str
    study_uid: str
    series_uid: str
    sop_uid: str
    number: int
    shift: dt.timedelta | None = None
    day: dt.date | None = None
    sex: str = ""
    age: int | None = None
    keeps_characteristics: bool = False
    boxes: tuple[Box, ...] = ()


def deidentify(values: npt.NDArray[Any], source: Dataset, stand_in: StandIn) -> bytes:
    """The DICOM picture ``values`` of ``source`` as another file."""
    made = _describe(stand_in)
    sop_class = str(source.get("SOPClassUID") or "").strip("\0 ")
    made.SOPClassUID = (
        sop_class
        if sop_class in profile.SOP_CLASSES
        else uid.DigitalXRayImageStorageForPresentation
    )
    for tag in tuple(source.keys()):  # Iterating itself would read every value.
        keyword = pydicom.datadict.keyword_for_tag(tag)
        check = profile.may_stay(tag)
        if check is not None:
            _keep(made, keyword, check, source)
        elif keyword in profile.TABLES and not profile.action_of(tag):
            _keep_tables(made, keyword, source)
    if stand_in.boxes:
        # Whoever blackened something has looked; what the file said of itself is out of date.
        made.BurnedInAnnotation = "NO"
    if stand_in.shift is not None:
        for keyword in DATES:
            day = _day(source.get(keyword))
            if day is not None:
                setattr(made, keyword, _said(day + stand_in.shift))
    bits = int(source.BitsStored)
    signed = int(source.get("PixelRepresentation") or 0) == 1
    photometric = str(source.PhotometricInterpretation).strip("\0 ").upper()
    _put_pixels(made, values, bits, photometric, signed=signed, boxes=stand_in.boxes)
    return _written(made)


def secondary_capture(values: npt.NDArray[Any], stand_in: StandIn) -> bytes:
    """A picture that came as PNG or JPEG, (h, w) of whole numbers, wrapped in DICOM."""
    made = _describe(stand_in)
    made.SOPClassUID = uid.SecondaryCaptureImageStorage
    made.Modality = "OT"
    made.ConversionType = "WSD"
    if stand_in.boxes:
        made.BurnedInAnnotation = "NO"
    bits = 8 * values.dtype.itemsize
    _put_pixels(made, values, bits, "MONOCHROME2", signed=False, boxes=stand_in.boxes)
    return _written(made)


def codes_of(*, shifted: bool, characteristics: bool, cleaned: bool) -> list[str]:
    """The codes of what was done, of ``profile.DEIDENTIFICATION_CODES``."""
    chosen = {"113101": cleaned, "113107": shifted, "113108": characteristics}
    return ["113100", *(code for code, done in chosen.items() if done)]


def _describe(stand_in: StandIn) -> Dataset:
    made = Dataset()
    for keyword in EMPTY:
        setattr(made, keyword, "")
    made.PatientName = made.PatientID = stand_in.patient
    made.StudyInstanceUID = stand_in.study_uid
    made.SeriesInstanceUID = stand_in.series_uid
    made.SOPInstanceUID = stand_in.sop_uid
    made.InstanceNumber = stand_in.number
    shifted = stand_in.shift is not None
    if stand_in.shift is not None and stand_in.day is not None:
        made.StudyDate = _said(stand_in.day + stand_in.shift)
    if stand_in.sex in ("F", "M", "O"):
        made.PatientSex = stand_in.sex
    if stand_in.age is not None:
        made.PatientAge = f"{min(stand_in.age, OLDEST_SAID + 1):03d}Y"
    made.PatientIdentityRemoved = "YES"
    codes = codes_of(
        shifted=shifted,
        characteristics=stand_in.keeps_characteristics,
        cleaned=bool(stand_in.boxes),
    )
    made.DeidentificationMethod = [f"PS3.15 {profile.EDITION} basic profile", "allow-list"]
    made.DeidentificationMethodCodeSequence = Sequence([_code(code) for code in codes])
    made.LongitudinalTemporalInformationModified = "MODIFIED" if shifted else "REMOVED"
    return made


def _code(value: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = profile.DEIDENTIFICATION_CODES[value]
    return item


def _keep(made: Dataset, keyword: str, check: profile.Check, source: Dataset) -> None:
    value = _value(source, keyword)
    checked = check(value) if value not in (None, "", b"") else None
    if checked is None:
        return
    if pydicom.datadict.dictionary_VR(keyword) in ("US", "SS", "US or SS"):
        vr = "SS" if min(float(one) for one in checked) < 0 else "US"
        whole = [int(float(one)) for one in checked]
        if not all(-32768 <= one <= 65535 for one in whole):
            return
        made.add_new(keyword, vr, whole if len(whole) > 1 else whole[0])
        return
    if isinstance(checked, list) and len(checked) == 1:
        checked = checked[0]
    setattr(made, keyword, checked)


def _keep_tables(made: Dataset, keyword: str, source: Dataset) -> None:
    """Lookup tables, without their explanations; only what rises or falls all the way is one."""
    items = []
    for item in _value(source, keyword) or ():
        found = _table(item)
        if found is not None:
            items.append(found)
    if items:
        setattr(made, keyword, Sequence(items[:1]))


def _table(item: Dataset) -> Dataset | None:
    try:
        descriptor = [int(one) for one in item.LUTDescriptor]
        raw = item.LUTData
        wide = descriptor[2] > 8
        entries = (
            np.frombuffer(raw, dtype="<u2" if wide or len(raw) >= 2 * descriptor[0] else "u1")
            if isinstance(raw, bytes)
            else np.asarray([int(one) & 0xFFFF for one in raw])
        )
    except Exception:  # Whatever is wrong with it, it is no table.
        return None
    count = descriptor[0] or 65536
    entries = entries[:count].astype(np.int64)
    steps = np.diff(entries)
    if len(entries) != count or not ((steps >= 0).all() or (steps <= 0).all()):
        return None
    table = Dataset()
    first = descriptor[1]
    table.add_new("LUTDescriptor", "SS" if first < 0 else "US", [_as_word(descriptor[0], first)])
    table["LUTDescriptor"].value = [
        _as_word(descriptor[0], first),
        first,
        descriptor[2],
    ]
    table.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    kind = profile.TABLE_TYPES(item.get("ModalityLUTType") or "")
    if kind:
        table.ModalityLUTType = kind
    return table


def _as_word(count: int, first: int) -> int:
    """65536 entries are written as 0 and, among signed words, more than 32767 as a negative."""
    count %= 65536
    return count - 65536 if first < 0 and count > 32767 else count


def _put_pixels(
    made: Dataset,
    values: npt.NDArray[Any],
    bits: int,
    photometric: str,
    *,
    signed: bool,
    boxes: Collection[Box],
) -> None:
    word = 8 if bits <= 8 else 16
    whole = values.astype(np.int64) & ((1 << bits) - 1)
    if signed:
        whole = whole - ((whole >> (bits - 1)) << bits)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    blacken(whole, boxes, high if photometric == "MONOCHROME1" else low)
    data = whole.astype(f"{'<i' if signed else '<u'}{word // 8}").tobytes()
    made.Rows, made.Columns = whole.shape
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = photometric
    made.BitsAllocated, made.BitsStored, made.HighBit = word, bits, bits - 1
    made.PixelRepresentation = int(signed)
    made.add_new("PixelData", "OW" if word == 16 else "OB", data + b"\0" * (len(data) % 2))


def _written(made: Dataset) -> bytes:
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.file_meta.ImplementationClassUID = IMPLEMENTATION
    made.preamble = b"\0" * 128
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def _value(source: Dataset, keyword: str) -> Any:
    try:
        return source.get(keyword)
    except Exception:  # A value that can't be read is not kept.
        return None


def _day(value: Any) -> dt.date | None:
    try:
        return dt.datetime.strptime(str(value or "").strip("\0 "), "%Y%m%d").date()
    except ValueError:
        return None


def _said(day: dt.date) -> str:
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"
