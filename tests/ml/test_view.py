"""What the network is shown: the whole, the lungs' rectangle, and the lungs alone."""

from __future__ import annotations

import numpy as np
import pytest

from ml import view
from ml.imaging import DecodedImage
from ml.lungs import Lungs, judge
from ml.predict import Predictor
from ml.preprocess import normalise, resize_square
from ml.view import (
    LOOKS,
    WHOLE,
    Frame,
    frame_of,
    look_without_lungs,
    looks,
    place,
    show,
    surround,
)

SIZE = 64


@pytest.fixture(scope="module")
def lungs() -> Lungs:
    """Two fields in the upper left of the picture."""
    probability = np.zeros((128, 128), dtype=np.float32)
    probability[16:80, 10:34] = 1.0
    probability[16:80, 50:74] = 1.0
    found = judge(probability)
    assert found.found
    return found


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(7).random((400, 300)).astype(np.float32)


def test_the_frame_lies_around_the_lungs_with_a_little_room(lungs: Lungs) -> None:
    frame = frame_of(lungs.mask)
    assert frame.left == pytest.approx(10 / 128 - 0.06 * 64 / 128)
    assert frame.right == pytest.approx(74 / 128 + 0.06 * 64 / 128)
    assert frame.top == pytest.approx(16 / 128 - 0.06 * 64 / 128)
    assert frame.bottom == pytest.approx(80 / 128 + 0.06 * 64 / 128)


def test_the_frame_ends_where_the_picture_ends() -> None:
    assert frame_of(np.ones((128, 128), dtype=bool)) == WHOLE


def test_the_close_looks_see_nothing_outside_the_frame(lungs: Lungs, pixels: np.ndarray) -> None:
    other = np.random.default_rng(8).random(pixels.shape).astype(np.float32)
    rows = np.arange(400)[:, np.newaxis] / 400
    columns = np.arange(300)[np.newaxis] / 300
    frame = frame_of(lungs.mask)
    # a pixel or two beside the edge belong to the averages at it
    near = (rows > frame.top - 0.02) & (rows < frame.bottom + 0.02)
    near = near & (columns > frame.left - 0.02) & (columns < frame.right + 0.02)
    square = resize_square(pixels, SIZE)
    first, *close = looks(show(pixels, square, lungs))
    assert first.frame == WHOLE
    assert len(close) == LOOKS - 1
    elsewhere = looks(show(np.where(near, pixels, other), square, lungs))[1:]
    for one, two in zip(close, elsewhere, strict=True):
        assert one.frame == two.frame == frame
        assert np.array_equal(one.prepared, two.prepared)


def test_the_lungs_alone_and_the_rest_alone(lungs: Lungs, pixels: np.ndarray) -> None:
    shown = show(pixels, resize_square(pixels, SIZE), lungs)
    close = shown.close
    assert close is not None
    whole, as_it_is, only = (look.prepared for look in looks(shown))
    without = look_without_lungs(shown).prepared
    assert np.array_equal(whole[..., 0], normalise(shown.whole.square))
    outside, inside = close.share < 0.02, shown.whole.share > 0.98
    assert outside.any()
    assert inside.any()
    assert np.array_equal(as_it_is[..., 0], normalise(close.square))
    assert np.abs(only[..., 0][outside]).max() <= 0.02 * view.CLIP
    assert np.abs(without[..., 0][inside]).max() <= 0.021 * view.CLIP
    parts = ((only, close.share > 0.98, close), (without, shown.whole.share < 0.02, shown.whole))
    for look, part, framed in parts:
        assert np.abs(look[..., 0]).max() <= view.CLIP
        assert look[..., 0][part].std() > 0.5
        assert np.array_equal(look[..., 1], framed.share)


def test_without_lungs_the_whole_picture_is_shown_once(pixels: np.ndarray) -> None:
    nothing = judge(np.zeros((128, 128), dtype=np.float32))
    shown = show(pixels, resize_square(pixels, SIZE), nothing)
    assert shown.close is None
    (look,) = looks(shown)
    assert look.frame == WHOLE
    assert (look.prepared[..., 1] == 1.0).all()


def test_a_map_is_laid_where_it_belongs() -> None:
    frame = Frame(0.5, 0.25, 1.0, 0.75)
    maps = np.zeros((8, 8), dtype=np.float32)
    maps[1:3, 5:7] = 4.0
    laid = place(maps, frame, 64)
    rows, columns = np.indices(laid.shape)
    total = laid.sum()
    assert (laid * rows).sum() / total == pytest.approx(64 * 0.25 + 2 * 4 - 0.5, abs=0.6)
    assert (laid * columns).sum() / total == pytest.approx(64 * 0.5 + 6 * 4 - 0.5, abs=0.6)
    assert (laid[:, :31] == 0.0).all()
    np.testing.assert_allclose(place(maps, WHOLE, 64).mean(), maps.mean(), rtol=0.05)


def test_the_released_model_looks_at_the_lungs(
    predictor: Predictor, phantoms: list[DecodedImage]
) -> None:
    answer = predictor.predict(phantoms[0])
    assert answer.lungs is not None
    assert answer.lungs.found
    assert answer.frames == (WHOLE, *[frame_of(answer.lungs.mask)] * 2)
    assert answer.lungs_only is not None
    assert sum(answer.lungs_only) == pytest.approx(1.0)
    assert predictor.without_lungs(answer) != answer.lungs_only
    # the evidence lies where the lungs' share is, as finely as the coarsest maps can tell
    share, cam = answer.shown.whole.share, np.abs(answer.cam[0]).max(axis=2)
    cells = share.shape[0] // 32
    places = share.reshape(cells, 32, cells, 32).max(axis=(1, 3))
    step = cam.shape[0] // cells
    strength = cam.reshape(cells, step, cells, step).max(axis=(1, 3))
    assert (places == 0.0).any()
    assert strength[places == 0.0].max() < 0.01 * strength.max()


def test_foreign_surroundings_leave_the_lungs_alone(lungs: Lungs, pixels: np.ndarray) -> None:
    other = np.full((50, 90), 0.25, dtype=np.float32)
    mixed = surround(pixels, lungs, other)
    assert mixed.shape == pixels.shape
    assert mixed.dtype == np.float32
    # of a grid of 128: in the middle of a field, and far from both
    inside = mixed[int(0.3 * 400) : int(0.4 * 400), int(0.12 * 300) : int(0.2 * 300)]
    np.testing.assert_allclose(
        inside, pixels[int(0.3 * 400) : int(0.4 * 400), int(0.12 * 300) : int(0.2 * 300)], atol=0.02
    )
    np.testing.assert_allclose(mixed[360:, 250:], 0.25, atol=1e-3)
