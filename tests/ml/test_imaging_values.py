"""Golden pixels: what a viewer is given is what pydicom computes, and what the model sees."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from ml.imaging import GreyValues, ImagingError, Window, decode, decode_values, read_header
from ml.imaging.values import grey
from ml.phantom import encode_dicom, phantom_jpeg, phantom_png
from tests.ml.dicoms import TINY, ramp, with_tags, written

RESCALES = (None, (2.0, -1024.0), (0.5, 10.25), (-1.0, 4095.0))
CASES = list(
    itertools.product(("MONOCHROME1", "MONOCHROME2"), (8, 12, 16), (False, True), RESCALES)
)


def shown(found: GreyValues) -> npt.NDArray[np.float64]:
    """The greys that a viewer draws when it opens, white is dense."""
    window = found.windows[0]
    greys = np.vectorize(lambda value: grey(float(value), window, found.function))(found.values)
    if found.inverted:
        greys = 1.0 - greys
    if found.padding is not None:
        low, high = found.padding
        greys[(found.values >= low) & (found.values <= high)] = 0.0
    return np.asarray(greys, dtype=np.float64)


def by_pydicom(data: bytes) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Values after the modality transformation, and windowed greys in [0, 1], white is dense."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    values = apply_modality_lut(dataset.pixel_array, dataset)
    windowed = apply_voi_lut(values, dataset).astype(np.float64)
    bits = int(dataset.BitsStored)
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1.0)
    if not dataset.PixelRepresentation:
        low, high = 0.0, 2.0**bits - 1.0
    if "RescaleSlope" in dataset:
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
        low, high = low * slope + intercept, high * slope + intercept
    greys = (windowed - low) / (high - low)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return values, 1.0 - greys if inverted else greys


@pytest.mark.parametrize(("photometric", "bits", "signed", "rescale"), CASES)
def test_values_and_window_are_those_of_pydicom(
    photometric: Any, bits: int, signed: bool, rescale: tuple[float, float] | None
) -> None:
    stored = ramp(bits, signed=signed)
    ends = np.array([stored.min(), stored.max()]) * (rescale or (1, 0))[0] + (rescale or (1, 0))[1]
    span = float(abs(ends[1] - ends[0]))
    window = (round(float(ends.mean()) + span / 16), round(span / 2))
    data = encode_dicom(
        stored,
        photometric=photometric,
        bits=bits,
        signed=signed,
        rescale=rescale,
        window=window,
    )
    found = decode_values(data, TINY)
    values, greys = by_pydicom(data)
    np.testing.assert_array_equal(found.values, values)
    assert found.values.dtype.str in ("|u1", "<u2", "<i2", "<f4")
    assert found.windows == (Window(*window),)
    assert found.from_file
    np.testing.assert_allclose(shown(found), greys, atol=1e-6)
    np.testing.assert_allclose(shown(found), decode(data, TINY).pixels, atol=2e-6)


def test_a_picture_without_a_window_opens_over_its_whole_range() -> None:
    data = encode_dicom(ramp(12) // 2 + 100, bits=12)
    found = decode_values(data, TINY)
    assert not found.from_file
    assert (found.minimum, found.maximum) == (100.0, 2147.0)
    np.testing.assert_allclose(shown(found), decode(data, TINY).pixels, atol=1e-6)
    assert shown(found).min() == 0.0
    assert shown(found).max() == 1.0


def test_several_windows_keep_their_order_and_useless_ones_are_left_out() -> None:
    data = with_tags(
        encode_dicom(ramp(12), bits=12),
        WindowCenter=[2000, 60000, 1000],
        WindowWidth=[1500, 100, 800],
    )
    assert decode_values(data, TINY).windows == (Window(2000, 1500), Window(1000, 800))


@pytest.mark.parametrize("function", ["SIGMOID", "LINEAR_EXACT"])
def test_other_functions_of_the_window_are_pydicoms_too(function: Any) -> None:
    data = with_tags(encode_dicom(ramp(12), bits=12, window=(1800, 1600)), VOILUTFunction=function)
    found = decode_values(data, TINY)
    assert found.function == function
    np.testing.assert_allclose(shown(found), by_pydicom(data)[1], atol=1e-6)


def table(first: int, entries: npt.NDArray[np.uint16], bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "US", entries.tolist())
    return item


def test_a_lookup_table_of_the_file_has_been_gone_through() -> None:
    dataset = pydicom.dcmread(io.BytesIO(encode_dicom(ramp(10), bits=10, window=(500, 100))))
    curve = (np.linspace(0, 1, 1024) ** 2 * 4095).astype(np.uint16)
    dataset.VOILUTSequence = Sequence([table(0, curve, 12)])
    data = written(dataset)
    found = decode_values(data, TINY)
    assert found.curve
    expected = apply_voi_lut(dataset.pixel_array, dataset)
    np.testing.assert_array_equal(found.values, expected)
    np.testing.assert_allclose(shown(found), decode(data, TINY).pixels, atol=1e-6)


def test_a_modality_table_has_been_gone_through() -> None:
    dataset = pydicom.dcmread(io.BytesIO(encode_dicom(ramp(10), bits=10)))
    item = table(0, np.arange(1024, dtype=np.uint16)[::-1] * 3, 16)
    item.ModalityLUTType = "US"
    dataset.ModalityLUTSequence = Sequence([item])
    data = written(dataset)
    found = decode_values(data, TINY)
    np.testing.assert_array_equal(found.values, apply_modality_lut(dataset.pixel_array, dataset))
    np.testing.assert_allclose(shown(found), decode(data, TINY).pixels, atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_named_and_takes_no_part(photometric: Any) -> None:
    stored = ramp(12) // 2 + 300
    stored[:3] = 4000
    plain = encode_dicom(stored, bits=12, photometric=photometric, rescale=(2, -10))
    data = with_tags(plain, PixelPaddingValue=4000)
    found = decode_values(data, TINY)
    assert found.padding == (7990.0, 7990.0)
    assert found.maximum < 7990
    np.testing.assert_allclose(shown(found), decode(data, TINY).pixels, atol=1e-6)
    assert not shown(found)[:3].any()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [10, 12])
def test_bits_kept_high_in_their_words_are_brought_down(bits: int, signed: bool) -> None:
    stored = ramp(bits, signed=signed)
    good = encode_dicom(stored, bits=bits, signed=signed)
    shift = 16 - bits
    dataset = pydicom.dcmread(io.BytesIO(good))
    noise = np.arange(stored.size, dtype=np.int32).reshape(stored.shape) % 2**shift
    dataset.PixelData = ((stored << shift) | noise).astype("<i4").astype("<u2").tobytes()
    dataset.HighBit = 15
    high = written(dataset)
    np.testing.assert_array_equal(decode_values(high, TINY).values, stored)
    np.testing.assert_array_equal(decode(high, TINY).pixels, decode(good, TINY).pixels)


@pytest.mark.parametrize(("high_bit", "code"), [(10, "corrupt_image"), (16, "corrupt_image")])
def test_impossible_high_bits_are_refused(high_bit: int, code: str) -> None:
    data = with_tags(encode_dicom(ramp(12), bits=12), HighBit=high_bit)
    with pytest.raises(ImagingError) as refused:
        decode_values(data, TINY)
    assert refused.value.code == code


@pytest.mark.parametrize("syntax", ["rle", "jpeg2000"])
def test_high_bits_of_a_compressed_picture_are_refused(syntax: Any) -> None:
    data = with_tags(encode_dicom(ramp(12, side=64), bits=12, syntax=syntax), HighBit=15)
    for look in (decode, decode_values, read_header):
        with pytest.raises(ImagingError) as refused:
            look(data, TINY)
        assert refused.value.code == "unsupported_type"


@pytest.mark.parametrize(
    ("tags", "spacing", "kind"),
    [
        ({}, (0.2, 0.2), "detector"),
        ({"PixelSpacing": [0.2, 0.2]}, (0.2, 0.2), "detector"),
        ({"PixelSpacing": [0.15, 0.15]}, (0.15, 0.15), "calibrated"),
        (
            {"PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"},
            (0.2, 0.2),
            "calibrated",
        ),
        ({"PixelSpacing": [0.15, 0.15], "ImagerPixelSpacing": None}, (0.15, 0.15), "unstated"),
        ({"ImagerPixelSpacing": None}, None, ""),
    ],
)
def test_a_spacing_says_where_it_holds(tags: dict[str, Any], spacing: Any, kind: str) -> None:
    blank = with_tags(encode_dicom(ramp(8), bits=8), ImagerPixelSpacing=[0.2, 0.2])
    header = read_header(with_tags(blank, **tags), TINY)
    assert header.pixel_spacing == spacing
    assert header.spacing_kind == kind


def test_png_and_jpeg_keep_their_bits() -> None:
    for bits, kind in ((8, "|u1"), (16, "<u2")):
        data = phantom_png(3, size=(220, 240), bits=bits)
        found = decode_values(data)
        np.testing.assert_array_equal(found.values, np.asarray(Image.open(io.BytesIO(data))))
        assert found.values.dtype.str == kind
        np.testing.assert_allclose(shown(found)[::7, ::7], decode(data).pixels[::7, ::7], atol=1e-6)
    jpeg = phantom_jpeg(3, size=(220, 240))
    found = decode_values(jpeg)
    np.testing.assert_array_equal(found.values, np.asarray(Image.open(io.BytesIO(jpeg))))
    assert found.windows == (Window(128.0, 256.0),)


@given(st.data())
def test_damage_is_refused_and_never_anything_else(data: st.DataObject) -> None:
    good = encode_dicom(ramp(12), bits=12, rescale=(2, -5), window=(100, 50))
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        bad[data.draw(st.integers(132, len(bad) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_values(bytes(bad), TINY)
    except ImagingError:
        return
    assert np.isfinite(found.values).all()
    assert found.windows[0].width > 0
