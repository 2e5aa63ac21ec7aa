"""The outline around a segmentation follows it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from ml.lungs import Lungs, LungSegmenter, dice, judge
from ml.outline import lung_outline
from ml.phantom import draw_phantom
from ml.preprocess import FloatArray

SIDE = 128


def two_fields(*, hole: bool = False) -> FloatArray:
    """Soft ellipses where lungs are."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    field = np.zeros((SIDE, SIDE))
    for centre in (0.3, 0.7):
        inside = 1.0 - np.hypot((x - centre) / 0.14, (y - 0.5) / 0.3)
        field = np.maximum(field, 1.0 / (1.0 + np.exp(-30.0 * inside)))
    if hole:
        field[60:75, 32:45] = 0.0
    return field.astype(np.float32)


def filled(rings: list[list[list[float]]], side: int = SIDE * 4) -> npt.NDArray[np.bool_]:
    """The rings drawn as areas; one inside another is a hole."""
    picture = Image.new("1", (side, side))
    total = np.zeros((side, side), dtype=bool)
    for ring in rings:
        picture.paste(0, (0, 0, side, side))
        corners = [(x * side - 0.5, y * side - 0.5) for x, y in ring]
        ImageDraw.Draw(picture).polygon(corners, fill=1)
        total ^= np.asarray(picture)
    return total


def grown(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.kron(mask, np.ones((4, 4), dtype=bool))


@pytest.mark.parametrize("hole", [False, True])
def test_the_rings_enclose_what_was_found(hole: bool) -> None:
    lungs = judge(two_fields(hole=hole))
    assert lungs.found
    rings = lung_outline(lungs)
    assert len(rings) == (3 if hole else 2)
    assert dice(filled(rings), grown(lungs.mask)) > 0.98
    assert sum(map(len, rings)) < 200, "thinned to what is needed"
    assert all(0.0 <= value <= 1.0 for ring in rings for point in ring for value in point)


def test_lungs_that_run_out_of_the_picture_are_closed_at_its_edge() -> None:
    field = np.zeros((SIDE, SIDE), dtype=np.float32)
    field[:90, 10:50] = field[:90, 75:115] = 1.0
    rings = lung_outline(judge(field))
    assert len(rings) == 2
    assert dice(filled(rings), grown(field > 0.5)) > 0.98


def test_corners_that_touch_are_walked_around_once() -> None:
    field = np.zeros((SIDE, SIDE), dtype=np.float32)
    field[20:60, 10:60] = field[60:100, 60:110] = 1.0
    lungs = Lungs(field, field > 0.5, None, {})
    assert dice(filled(lung_outline(lungs)), grown(field > 0.5)) > 0.98


def test_what_was_not_found_has_no_outline() -> None:
    assert lung_outline(judge(np.zeros((SIDE, SIDE), dtype=np.float32))) == []


def test_a_drawn_chest_is_outlined_as_it_is_segmented() -> None:
    lungs = LungSegmenter.load().find(draw_phantom(3, "normal", (600, 500)))
    assert lungs.found
    rings = lung_outline(lungs)
    side = lungs.mask.shape[0] * 4
    assert dice(filled(rings, side), grown(lungs.mask)) > 0.97
