"""Phantoms: the same seed draws the same chest, and every kind of file can be read back."""

import time

import numpy as np
import pytest

from ml import phantom
from ml.imaging import decode, read_header

SIZE = (320, 360)


def test_the_same_arguments_draw_the_same_picture() -> None:
    first = phantom.draw_phantom(5, "covid", SIZE)
    assert np.array_equal(first, phantom.draw_phantom(5, "covid", SIZE))
    assert not np.array_equal(first, phantom.draw_phantom(6, "covid", SIZE))
    assert not np.array_equal(first, phantom.draw_phantom(5, "normal", SIZE))


def test_a_picture_has_the_asked_shape_and_range() -> None:
    picture = phantom.draw_phantom(1, "normal", SIZE)
    assert picture.shape == (360, 320)
    assert picture.dtype == np.float32
    assert 0.0 <= picture.min() < 0.1
    assert 0.6 < picture.max() <= 1.0


def test_lungs_are_darker_than_heart_and_flank_than_air() -> None:
    picture = phantom.draw_phantom(2, "normal", (512, 512))
    lung = picture[200:260, 100:150].mean()
    heart = picture[300:350, 245:270].mean()
    air = picture[10:40, 60:100].mean()
    assert air < lung < heart


@pytest.mark.parametrize("finding", ["pneumonia", "covid"])
def test_a_finding_whitens_the_lungs(finding: phantom.Finding) -> None:
    healthy = phantom.draw_phantom(4, "normal", (512, 512))
    ill = phantom.draw_phantom(4, finding, (512, 512))
    assert (ill - healthy).max() > 0.1


def test_too_small_or_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="64 pixels"):
        phantom.draw_phantom(1, "normal", (32, 512))
    with pytest.raises(ValueError, match="unknown finding"):
        phantom.draw_phantom(1, "cold", SIZE)  # type: ignore[arg-type]


def test_drawing_a_megapixel_is_quick() -> None:
    phantom.draw_phantom(1, "normal", (1024, 1024))
    best = min(_timed() for _ in range(3))
    assert best < 0.9  # about 0.1 s on an idle core


def _timed() -> float:
    started = time.perf_counter()
    phantom.draw_phantom(1, "covid", (1024, 1024))
    return time.perf_counter() - started


def test_png_and_jpeg_hold_the_picture() -> None:
    picture = phantom.draw_phantom(3, "normal", SIZE)
    eight = decode(phantom.phantom_png(3, "normal", SIZE)).pixels
    sixteen = decode(phantom.phantom_png(3, "normal", SIZE, bits=16)).pixels
    lossy = decode(phantom.phantom_jpeg(3, "normal", SIZE)).pixels
    assert np.abs(eight - picture).max() < 1 / 255
    assert np.abs(sixteen - picture).max() < 1 / 65535
    assert np.abs(lossy - picture).mean() < 0.01


@pytest.mark.parametrize("syntax", list(phantom.SYNTAXES))
def test_dicom_holds_the_picture_in_every_syntax(syntax: str) -> None:
    picture = phantom.draw_phantom(3, "covid", SIZE)
    data = phantom.phantom_dicom(
        3,
        "covid",
        SIZE,
        bits=16,
        window=(32768, 65536),
        syntax=syntax,  # type: ignore[arg-type]
    )
    assert data == phantom.phantom_dicom(
        3,
        "covid",
        SIZE,
        bits=16,
        window=(32768, 65536),
        syntax=syntax,  # type: ignore[arg-type]
    )
    decoded = decode(data)
    assert decoded.header.transfer_syntax_uid == phantom.SYNTAXES[syntax]  # type: ignore[index]
    assert np.abs(decoded.pixels - picture).max() < 1e-4


@pytest.mark.parametrize("modality", ["CR", "DX"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_dicom_variants_are_read_alike(
    modality: str, photometric: str, bits: int, signed: bool
) -> None:
    picture = phantom.draw_phantom(3, "covid", SIZE)
    full = (picture - picture.min()) / (picture.max() - picture.min())
    data = phantom.phantom_dicom(
        3,
        "covid",
        SIZE,
        modality=modality,  # type: ignore[arg-type]
        photometric=photometric,  # type: ignore[arg-type]
        bits=bits,
        signed=signed,
        rescale=(2.0, -1000.0),
    )
    header = read_header(data)
    assert (header.modality, header.photometric, header.bits_stored) == (
        modality,
        photometric,
        bits,
    )
    assert (header.view_position, header.body_part) == ("PA", "CHEST")
    assert np.abs(decode(data).pixels - full).max() < 2.0 / (2**bits - 1) + 1e-4
