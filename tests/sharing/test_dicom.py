"""Nothing identifying stays in a DICOM file: held to PS3.15 table E.1-1, and past it."""

from __future__ import annotations

import datetime as dt
import io
from uuid import uuid4

import numpy as np
import pydicom
import pytest
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from ml.imaging import Limits, decode, decode_stored, read_dataset
from ml.phantom import phantom_dicom
from screening.sharing import profile
from screening.sharing.blackout import Box, border
from screening.sharing.dicom import StandIn, deidentify, secondary_capture
from screening.sharing.pseudonyms import Pseudonyms
from tests.ml.dicoms import with_tags
from tests.sharing import canaries

pytestmark = pytest.mark.once

SHIFT = dt.timedelta(days=-400)
# What the profile lets us write although the table names it: pseudonyms, new UIDs, and by option
# shifted dates, sex and age.
WRITTEN = {
    "PatientName",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
}
BY_OPTION = {"PatientSex", "PatientAge", *("StudyDate", "SeriesDate", "AcquisitionDate")}
BY_OPTION |= {"ContentDate"}


def stand_in(**more: object) -> StandIn:
    chosen: dict[str, object] = {
        "patient": "TS-ABCDEFGHIJKL",
        "study_uid": "2.25.1",
        "series_uid": "2.25.2",
        "sop_uid": "2.25.3",
        "number": 1,
    }
    return StandIn(**{**chosen, **more})  # type: ignore[arg-type]


def made_of(data: bytes, **more: object) -> tuple[bytes, Dataset]:
    dataset = read_dataset(data, Limits())
    written = deidentify(decode_stored(data, Limits()).values, dataset, stand_in(**more))
    return written, pydicom.dcmread(io.BytesIO(written))


@pytest.fixture(scope="module")
def before() -> Dataset:
    return pydicom.dcmread(io.BytesIO(canaries.everywhere()))


@pytest.fixture(scope="module")
def made() -> Dataset:
    return made_of(canaries.everywhere())[1]


@pytest.mark.parametrize("compressed", [False, True], ids=["native", "jpeg"])
def test_no_canary_survives(compressed: bool) -> None:
    data = canaries.everywhere(compressed=compressed)
    assert len(canaries.found_in(data)) == 8
    written, made = made_of(data)
    assert canaries.found_in(written) == []
    assert not any(element.tag.is_private for element in made.iterall())
    decode(written)


def test_the_canaries_are_where_they_should_be(before: Dataset) -> None:
    """The file holds every attribute of the dictionary, or the test above would prove little."""
    there = {int(tag) for tag in tuple(before.keys())}
    assert len([tag for tag, _ in canaries.attributes() if tag in there]) > 4500
    named = [tag for tag in profile.ACTIONS if keyword_for_tag(tag) not in canaries.PICTURE]
    missing = [tag for tag in named if (tag[0] << 16 | tag[1]) not in there and tag[0] > 4]
    assert missing == []


@pytest.mark.parametrize("action", sorted(set(profile.ACTIONS.values())))
def test_each_action_of_the_table_is_done(action: str, before: Dataset, made: Dataset) -> None:
    """X: gone. Z: gone or empty. D and U: gone, or something else in its place."""
    for tag in (tag for tag, one in profile.ACTIONS.items() if one == action):
        keyword = keyword_for_tag(tag)
        if tag not in made:
            continue
        value = made[tag].value
        if action.startswith("X") and keyword not in BY_OPTION:
            pytest.fail(f"{keyword} stayed")
        assert not value or str(value) != str(before[tag].value), keyword
        assert not value or keyword in WRITTEN, keyword


def test_nothing_that_the_table_names_is_on_the_allow_list() -> None:
    for keyword in (*profile.KEPT, *profile.TABLES):
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        assert profile.action_of(tag) == "", keyword


@pytest.mark.parametrize("tag", [0x60003000, 0x601E4000, 0x50003000, 0x00091001])
def test_repeating_and_private_groups_are_removed(tag: int) -> None:
    assert profile.action_of(tag) == "X"


@pytest.mark.parametrize(
    "more",
    [
        {"bits": 12, "window": (2048, 4096)},
        {"bits": 10, "signed": True},
        {"bits": 8},
        {"bits": 16, "photometric": "MONOCHROME1"},
        {"bits": 12, "rescale": (1.5, -100.0)},
        {"bits": 12, "syntax": "rle"},
        {"bits": 12, "syntax": "jpeg2000"},
    ],
    ids=str,
)
def test_the_picture_looks_the_same(more: dict[str, object]) -> None:
    data = phantom_dicom(4, "normal", size=(256, 256), **more)  # type: ignore[arg-type]
    written, made = made_of(data)
    assert np.array_equal(decode(written).pixels, decode(data).pixels)
    assert made.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian


def test_what_is_needed_to_measure_and_to_show_it_stays() -> None:
    _, made = made_of(with_tags(phantom_dicom(1, "normal", size=(256, 256)), KVP="120"))
    assert float(made.ImagerPixelSpacing[0]) == pytest.approx(430 / 256, abs=1e-3)
    assert (made.Modality, made.KVP) == ("DX", 120)


def test_what_was_done_is_written_into_the_file() -> None:
    _, made = made_of(phantom_dicom(1, "normal", size=(256, 256)))
    assert made.PatientIdentityRemoved == "YES"
    assert made.LongitudinalTemporalInformationModified == "REMOVED"
    assert [item.CodeValue for item in made.DeidentificationMethodCodeSequence] == ["113100"]
    assert (made.PatientName, made.PatientID) == ("TS-ABCDEFGHIJKL", "TS-ABCDEFGHIJKL")
    assert not made.StudyDate
    _, made = made_of(
        with_tags(phantom_dicom(1, "normal", size=(256, 256)), StudyDate="20240301"),
        shift=SHIFT,
        sex="F",
        age=93,
        keeps_characteristics=True,
        boxes=border(5),
    )
    codes = [item.CodeValue for item in made.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101", "113107", "113108"]
    assert (made.StudyDate, made.PatientSex, made.PatientAge) == ("20230126", "F", "090Y")
    assert made.LongitudinalTemporalInformationModified == "MODIFIED"
    assert made.BurnedInAnnotation == "NO"


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
def test_a_box_is_black_on_every_screen(photometric: str, signed: bool) -> None:
    data = phantom_dicom(1, "normal", (256, 256), photometric=photometric, signed=signed)  # type: ignore[arg-type]
    written, _ = made_of(data, boxes=(Box(0, 0, 50, 25),))
    seen, before = decode(written).to_uint8(), decode(data).to_uint8()
    assert seen[:64, :128].max() == 0
    assert before[:64, :128].max() > 100
    assert seen[70:, :].std() > 10


def test_a_lookup_table_stays_and_text_in_the_place_of_one_does_not() -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4096, 0, 16])
    table.add_new("LUTData", "OW", (np.arange(4096, dtype="<u2") * 16).tobytes())
    table.LUTExplanation = canaries.WORD
    data = with_tags(
        phantom_dicom(1, "normal", size=(256, 256)), VOILUTSequence=pydicom.Sequence([table])
    )
    written, made = made_of(data)
    assert canaries.WORD.encode() not in written
    assert np.array_equal(decode(written).pixels, decode(data).pixels)
    assert len(made.VOILUTSequence) == 1


def test_a_capture_of_a_png() -> None:
    values = (np.arange(300 * 200) % 256).astype(np.uint8).reshape(300, 200)
    made = pydicom.dcmread(io.BytesIO(secondary_capture(values, stand_in())))
    assert np.array_equal(made.pixel_array, values)
    assert made.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage


def test_pseudonyms_hold_within_a_key_and_tell_nothing_across_keys() -> None:
    one, other, patient = Pseudonyms(b"a" * 32), Pseudonyms(b"b" * 32), uuid4()
    assert one.patient(patient) == Pseudonyms(b"a" * 32).patient(patient)
    assert one.patient(patient) != other.patient(patient)
    assert one.uid("image", "1.2.3") != one.uid("study", "1.2.3")
    assert pydicom.uid.UID(one.uid("image", "1.2.3")).is_valid
    shifts = {Pseudonyms(b"a" * 32).shift(uuid4()).days for _ in range(200)}
    assert len(shifts) > 150
    assert all(-3650 <= days <= -30 for days in shifts)
    assert "61" not in repr(one)
