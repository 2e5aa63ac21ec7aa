"""DICOM greys against values worked out by hand, and against pydicom's own lookup functions."""

from __future__ import annotations

import io
import os
import zlib
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import apply_voi_lut

from ml.imaging import ImagingError, Limits, decode, read_header
from ml.phantom import encode_dicom
from tests.ml.dicoms import TINY, lossless_jpeg, ramp, with_codestream, with_tags

SAMPLES = Path(os.path.dirname(pydicom.__file__)) / "data" / "test_files"


def pixels(data: bytes) -> npt.NDArray[np.float32]:
    return decode(data, TINY).pixels


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_the_full_range_is_shown_without_a_window(bits: int, signed: bool) -> None:
    stored = ramp(bits, signed=signed)
    expected = (stored - stored.min()) / (2**bits - 1)
    assert np.allclose(pixels(encode_dicom(stored, bits=bits, signed=signed)), expected, atol=1e-6)


def test_monochrome1_is_turned_round() -> None:
    stored = ramp(12)
    plain = pixels(encode_dicom(stored))
    turned = pixels(encode_dicom(stored, photometric="MONOCHROME1"))
    assert np.allclose(turned, 1.0 - plain, atol=1e-6)
    assert turned[0, 0] == 1.0


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_linear_window_by_hand(photometric: str) -> None:
    stored = np.zeros((8, 8), dtype=np.int32)
    stored[0, :5] = [0, 100, 150, 199, 400]
    # PS3.3 C.11.2.1.2.1: centre 150, width 101 gives ((x - 149.5) / 100 + 0.5), clipped
    expected = np.array([0.0, 0.005, 0.505, 0.995, 1.0])
    if photometric == "MONOCHROME1":
        expected = 1.0 - expected
    data = encode_dicom(stored, window=(150, 101), photometric=photometric)  # type: ignore[arg-type]
    assert np.allclose(pixels(data)[0, :5], expected, atol=1e-6)


def test_rescale_comes_before_the_window() -> None:
    stored = np.zeros((8, 8), dtype=np.int32)
    stored[0, :3] = [500, 1000, 1500]
    # slope 2, intercept -1000: 0, 1000, 2000
    data = encode_dicom(stored, rescale=(2, -1000), window=(1000.5, 2001))
    assert np.allclose(pixels(data)[0, :3], [0.0, 0.5, 1.0], atol=1e-6)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("signed", [False, True])
def test_windows_agree_with_pydicom(function: str, signed: bool) -> None:
    stored = ramp(12, signed=signed)
    centre = 0 if signed else 2000
    data = with_tags(
        encode_dicom(stored, signed=signed, window=(centre, 1500)), VOILUTFunction=function
    )
    dataset = pydicom.dcmread(io.BytesIO(data))
    windowed = apply_voi_lut(dataset.pixel_array, dataset)
    low, high = (-2048.0, 2047.0) if signed else (0.0, 4095.0)
    assert np.allclose(pixels(data), (windowed - low) / (high - low), atol=1e-5)


def test_the_first_of_several_windows_counts() -> None:
    data = with_tags(encode_dicom(ramp()), WindowCenter=[1000, 3000], WindowWidth=[500, 800])
    alone = with_tags(encode_dicom(ramp()), WindowCenter=1000, WindowWidth=500)
    assert np.array_equal(pixels(data), pixels(alone))


@pytest.mark.parametrize(("centre", "width"), [(2000, 0), (2000, -5), (90000, 10)])
def test_a_senseless_window_is_passed_over(centre: int, width: int) -> None:
    data = with_tags(encode_dicom(ramp()), WindowCenter=centre, WindowWidth=width)
    assert np.allclose(pixels(data), ramp() / 4095.0, atol=1e-6)


def lookup_table(first: int, entries: list[int], bits: int) -> Dataset:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    table.add_new("LUTData", "US", entries)
    return table


def test_a_lookup_table_by_hand_and_by_pydicom() -> None:
    stored = ramp(8, 16)
    entries = [round(255 * (i / 255) ** 2) for i in range(256)]
    data = with_tags(encode_dicom(stored, bits=8), VOILUTSequence=[lookup_table(0, entries, 8)])
    assert np.allclose(pixels(data), np.array(entries)[stored] / 255.0, atol=1e-6)
    dataset = pydicom.dcmread(io.BytesIO(data))
    assert np.allclose(pixels(data), apply_voi_lut(dataset.pixel_array, dataset) / 255.0, atol=1e-6)


def test_values_outside_a_lookup_table_take_its_ends() -> None:
    stored = ramp(12)
    table = lookup_table(1000, [0, 10000, 65535], 16)
    found = pixels(with_tags(encode_dicom(stored), VOILUTSequence=[table]))
    assert np.all(found[stored <= 1000] == 0.0)
    assert np.all(found[stored >= 1002] == 1.0)


def test_a_modality_table_is_applied() -> None:
    stored = ramp(8, 16)
    table = lookup_table(0, [255 - i for i in range(256)], 8)
    table.ModalityLUTType = "US"
    found = pixels(with_tags(encode_dicom(stored, bits=8), ModalityLUTSequence=[table]))
    assert np.allclose(found, (255 - stored) / 255.0, atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_stretch_the_range(photometric: str) -> None:
    stored = ramp(12) // 4 + 1000
    stored[:4] = 0
    data = encode_dicom(stored, photometric=photometric)  # type: ignore[arg-type]
    found = pixels(with_tags(data, PixelPaddingValue=0))
    assert np.all(found[:4] == 0.0)
    assert found[4:].min() == pytest.approx(0.0, abs=1e-6)
    assert found[4:].max() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big_endian", "deflated", "rle"])
@pytest.mark.parametrize("bits", [8, 16])
def test_lossless_syntaxes_give_equal_pixels(syntax: str, bits: int) -> None:
    stored = ramp(bits, 24)
    found = pixels(encode_dicom(stored, bits=bits, syntax=syntax))  # type: ignore[arg-type]
    assert np.allclose(found, stored / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_jpeg2000(bits: int, signed: bool) -> None:
    stored = ramp(bits, 64, signed)
    data = encode_dicom(stored, bits=bits, signed=signed, syntax="jpeg2000")
    assert np.allclose(pixels(data), (stored - stored.min()) / (2**bits - 1), atol=1e-6)


def test_baseline_jpeg() -> None:
    stored = ramp(8, 64).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(stored).save(stream, "JPEG", quality=95)
    data = with_codestream(stream.getvalue(), uid.JPEGBaseline8Bit, (64, 64), 8)
    assert np.abs(pixels(data) - stored / 255.0).max() < 0.03


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", [uid.JPEGLosslessSV1, uid.JPEGLossless])
def test_lossless_jpeg(bits: int, syntax: uid.UID) -> None:
    stored = ramp(bits, 32)
    data = with_codestream(lossless_jpeg(stored, bits), syntax, (32, 32), bits)
    assert np.allclose(pixels(data), stored / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("JPGExtended.dcm", uid.JPEGExtended12Bit),
        ("MR_small_jpeg_ls_lossless.dcm", uid.JPEGLSLossless),
        ("MR_small_jp2klossless.dcm", uid.JPEG2000Lossless),
        ("MR_small_RLE.dcm", uid.RLELossless),
    ],
)
def test_codestreams_of_other_encoders(name: str, syntax: uid.UID) -> None:
    sample = pydicom.dcmread(SAMPLES / name)
    frame = get_frame(sample.PixelData, 0, number_of_frames=1)
    data = with_codestream(
        frame,
        syntax,
        (sample.Rows, sample.Columns),
        sample.BitsStored,
        bool(sample.PixelRepresentation),
    )
    stored = sample.pixel_array.astype(np.float64)
    expected = (stored - stored.min()) / (stored.max() - stored.min())
    assert np.allclose(pixels(data), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("acquired", "studied", "expected"),
    [
        ("20261103", "20261104", date(2026, 11, 3)),
        ("", "20261104", date(2026, 11, 4)),
        ("20261399", "", None),
        ("18121103", "", None),
        ("2026-11-03", "yesterday", None),
    ],
)
def test_the_day_of_the_film_is_read_or_left_out(
    acquired: str, studied: str, expected: date | None
) -> None:
    tags = {"AcquisitionDate": acquired, "StudyDate": studied}
    data = with_tags(encode_dicom(ramp(12, 20)), **tags)
    assert read_header(data, TINY).taken_on == expected


def test_the_header_says_what_is_needed_and_nothing_of_the_patient() -> None:
    data = encode_dicom(ramp(12, 20), modality="CR", photometric="MONOCHROME1")
    header = read_header(data, TINY)
    assert (header.width, header.height, header.frames) == (20, 20, 1)
    assert (header.modality, header.photometric, header.bits_stored) == ("CR", "MONOCHROME1", 12)
    assert header.sop_class_uid == uid.ComputedRadiographyImageStorage
    assert header.transfer_syntax_uid == uid.ExplicitVRLittleEndian
    assert header.study_uid
    assert header.taken_on == date(2020, 1, 1)
    assert header.series_uid
    assert header.sop_uid
    assert header.pixel_spacing == (21.5, 21.5)
    assert "Phantom" not in repr(header)


def test_free_text_in_coded_tags_is_not_let_through() -> None:
    data = with_tags(encode_dicom(ramp()), ViewPosition="Müller, Anna", BodyPartExamined="chest")
    header = read_header(data, TINY)
    assert header.view_position == ""
    assert header.body_part == "CHEST"


def test_a_dataset_without_preamble_is_read() -> None:
    data = encode_dicom(ramp(), syntax="implicit")
    dataset = pydicom.dcmread(io.BytesIO(data))
    stream = io.BytesIO()
    del dataset.file_meta
    dataset.preamble = None
    dataset.save_as(stream, implicit_vr=True, little_endian=True)
    assert np.allclose(pixels(stream.getvalue()), ramp() / 4095.0, atol=1e-6)


def refused(data: bytes, limits: Limits = TINY) -> str:
    with pytest.raises(ImagingError) as caught:
        decode(data, limits)
    header_code = None
    try:
        read_header(data, limits)
    except ImagingError as error:
        header_code = error.code
    assert header_code in (None, caught.value.code)
    return caught.value.code


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"Modality": "CT", "SOPClassUID": uid.CTImageStorage}, "not_a_radiograph_modality"),
        ({"Modality": "MG"}, "not_a_radiograph_modality"),
        ({"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "OT"},) * 1
        + ("not_a_radiograph_modality",),
        ({"SOPClassUID": uid.EncapsulatedPDFStorage}, "not_a_radiograph_modality"),
        ({"NumberOfFrames": 3}, "unsupported_type"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "unsupported_type"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "unsupported_type"),
        ({"BitsAllocated": 32}, "unsupported_type"),
        ({"BitsStored": 0}, "corrupt_image"),
        ({"Rows": 3, "Columns": 90}, "too_small"),
        ({"Rows": 60000, "Columns": 60000}, "too_many_pixels"),
        ({"Rows": None}, "corrupt_image"),
        ({"PixelData": None}, "corrupt_image"),
        ({"Rows": 17}, "corrupt_image"),
        ({"RescaleSlope": "nan"}, "corrupt_image"),
    ],
)
def test_refusals(tags: dict[str, object], code: str) -> None:
    assert refused(with_tags(encode_dicom(ramp()), **tags)) == code


@pytest.mark.parametrize(
    "tags",
    [
        {"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "CR"},
        {"Modality": ""},
        {"SOPClassUID": uid.DigitalXRayImageStorageForProcessing},
    ],
)
def test_radiographs_in_other_clothes_are_accepted(tags: dict[str, object]) -> None:
    assert pixels(with_tags(encode_dicom(ramp()), **tags)).shape == (16, 16)


def test_video_syntaxes_are_refused() -> None:
    data = with_codestream(b"\0" * 64, uid.MPEG2MPML, (16, 16), 8)
    assert refused(data) == "unsupported_type"


@pytest.mark.parametrize("syntax", ["rle", "jpeg2000"])
def test_a_codestream_of_another_size_is_refused(syntax: str) -> None:
    data = encode_dicom(ramp(12, 64), syntax=syntax)  # type: ignore[arg-type]
    assert refused(with_tags(data, Rows=32, Columns=32)) == "corrupt_image"


def test_a_lossless_jpeg_of_another_size_is_refused() -> None:
    stream = lossless_jpeg(ramp(12, 32), 12)
    assert refused(with_codestream(stream, uid.JPEGLosslessSV1, (16, 16), 12)) == "corrupt_image"


def test_a_deflated_bomb_is_stopped() -> None:
    """A dataset that unfolds to far more than its header promises."""
    data = encode_dicom(ramp(12, 64), syntax="deflated")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    end = data.index(b"1.2.840.10008.1.2.1.99") + 22
    body = zlib.decompress(data[_meta_end(data) :], -zlib.MAX_WBITS)
    assert end < len(data)
    bomb = packer.compress(body + b"\0" * 40_000_000) + packer.flush()
    limits = Limits(min_side=4, max_pixels=1_000_000)
    assert len(bomb) < 200_000
    assert refused(data[: _meta_end(data)] + bomb, limits) == "too_many_pixels"


def _meta_end(data: bytes) -> int:
    length = int.from_bytes(data[140:144], "little")
    return 144 + length


def test_a_truncated_file_is_corrupt() -> None:
    for syntax in ("explicit", "deflated", "rle", "jpeg2000"):
        data = encode_dicom(ramp(12, 64), syntax=syntax)  # type: ignore[arg-type]
        assert refused(data[: len(data) * 3 // 5]) == "corrupt_image"
