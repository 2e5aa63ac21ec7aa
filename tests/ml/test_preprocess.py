"""Preparing pictures: one function, the same answer every time, the same for any exposure."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest

from ml.phantom import draw_phantom
from ml.preprocess import normalise, prepare, resize_square


def picture(width: int = 700, height: int = 900, seed: int = 1) -> npt.NDArray[np.float32]:
    return draw_phantom(seed, "covid", (width, height))


def test_the_result_has_the_networks_shape_and_scale() -> None:
    prepared = prepare(picture(), 160)
    assert prepared.shape == (160, 160, 1)
    assert prepared.dtype == np.float32
    assert abs(float(prepared.mean())) < 1e-3
    assert float(prepared.std()) == pytest.approx(1.0, abs=1e-3)


def test_it_repeats_itself_in_any_thread() -> None:
    expected = prepare(picture(), 160)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: prepare(picture(), 160), range(16)):
            assert np.array_equal(found, expected)


def test_the_given_picture_is_left_alone() -> None:
    given = picture()
    before = given.copy()
    prepare(given, 160)
    assert np.array_equal(given, before)


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.1), (0.8, 0.2), (0.3, 0.0)])
def test_exposure_and_contrast_do_not_matter(gain: float, offset: float) -> None:
    given = picture()
    changed = (given * np.float32(gain) + np.float32(offset)).astype(np.float32)
    assert np.abs(prepare(changed, 160) - prepare(given, 160)).max() < 0.01


def test_a_few_extreme_pixels_do_not_matter() -> None:
    given = picture()
    marked = given * np.float32(0.7)
    marked[:20, :20] = 1.0
    plain = prepare(given * np.float32(0.7), 160)
    assert np.abs(prepare(marked, 160)[20:] - plain[20:]).mean() < 0.05


def test_scale_matters_little() -> None:
    small, large = picture(400, 400), picture(1600, 1600)
    close = np.abs(resize_square(small, 160) - resize_square(large, 160)).mean()
    assert close < 0.02


def test_a_flat_picture_becomes_nought() -> None:
    assert not normalise(np.full((160, 160), 0.4, dtype=np.float32)).any()


def test_only_pictures_are_taken() -> None:
    for shape in ((10,), (2, 3, 4), (0, 5)):
        with pytest.raises(ValueError, match="2-D"):
            resize_square(np.zeros(shape, dtype=np.float32), 16)


def test_twelve_megapixels_are_prepared_quickly() -> None:
    large = np.random.default_rng(0).random((3000, 4000), dtype=np.float32)
    prepare(large, 160)
    best = 9.0
    for _ in range(3):
        started = time.perf_counter()
        prepare(large, 160)
        best = min(best, time.perf_counter() - started)
    assert best < 0.25  # about 0.03 s on an idle core
