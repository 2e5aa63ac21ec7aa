"""The outline of the lungs as polygons: what a viewer draws around a segmentation."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np

from ml.lungs import SPECK, Lungs, dilate
from ml.preprocess import FloatArray

Point = tuple[float, float]
Edge = tuple[int, int, int]
"""Row, column and whether it runs downwards: a side between two neighbours of the grid."""

LEVEL: Final = 0.5
TOLERANCE: Final = 0.35
"""How far the drawn outline may lie from the true one, in pixels of the segmenter's square."""


SINGLE: Final = {
    case: line
    for cases, line in (
        ((1, 14), ("top", "left")),
        ((2, 13), ("top", "right")),
        ((4, 11), ("bottom", "right")),
        ((8, 7), ("bottom", "left")),
        ((3, 12), ("left", "right")),
        ((6, 9), ("top", "bottom")),
    )
    for case in cases
}
"""The sides that the line through a square crosses, by which of its corners lie inside."""


def lung_outline(lungs: Lungs) -> list[list[list[float]]]:
    """Rings around the lung fields, smooth where the segmenter was in between.

    :returns: for each ring its points (x, y) as shares of the picture's width and height, to four
        digits; nothing where the lungs were not found.
    """
    if not lungs.found:
        return []
    field = np.where(dilate(lungs.mask, 1), lungs.probability, np.float32(0.0))
    side = field.shape[0]
    rings = [_thinned(ring) for ring in _rings(field)]
    return [
        [[round((x + 0.5) / side, 4), round((y + 0.5) / side, 4)] for x, y in ring]
        for ring in rings
        if abs(_area(ring)) >= SPECK * side * side
    ]


def _rings(field: FloatArray) -> list[list[Point]]:
    """The closed lines at ``LEVEL`` (marching squares), in pixels of the grid."""
    grid = np.pad(field.astype(np.float64), 1)
    inside = grid >= LEVEL
    corners = inside[:-1, :-1] * 1 + inside[:-1, 1:] * 2 + inside[1:, 1:] * 4 + inside[1:, :-1] * 8
    beside: dict[Edge, list[Edge]] = defaultdict(list)
    for row, column in zip(*np.nonzero((corners > 0) & (corners < 15)), strict=True):
        r, c = int(row), int(column)
        top, bottom = (r, c, 0), (r + 1, c, 0)
        left, right = (r, c, 1), (r, c + 1, 1)
        case = int(corners[r, c])
        full = case in (5, 10) and float(grid[r : r + 2, c : c + 2].mean()) >= LEVEL
        for one, other in _lines(case, full, top, right, bottom, left):
            beside[one].append(other)
            beside[other].append(one)
    rings = []
    while beside:
        start = next(iter(beside))
        ring, edge = [], start
        while beside.get(edge):
            following = beside[edge].pop()
            beside[following].remove(edge)
            if not beside[edge]:
                del beside[edge]
            ring.append(_crossing(grid, edge))
            edge = following
        beside.pop(edge, None)
        rings.append(ring)
    return rings


def _lines(
    case: int, full: bool, top: Edge, right: Edge, bottom: Edge, left: Edge
) -> list[tuple[Edge, Edge]]:
    """The lines through one square of the grid, by which of its corners lie inside."""
    if case in (5, 10):
        # two corners across from each other: joined through the middle, or not
        joined = (case == 5) == full
        return [(top, right), (bottom, left)] if joined else [(top, left), (bottom, right)]
    sides = {"top": top, "right": right, "bottom": bottom, "left": left}
    first, second = SINGLE[case]
    return [(sides[first], sides[second])]


def _crossing(grid: np.ndarray, edge: Edge) -> Point:
    """Where the level is crossed on one side of a square, padding taken off."""
    row, column, downwards = edge
    first = float(grid[row, column])
    second = float(grid[row + downwards, column + 1 - downwards])
    share = (LEVEL - first) / (second - first)
    x, y = (column, row + share) if downwards else (column + share, row)
    return x - 1.0, y - 1.0


def _thinned(ring: list[Point]) -> list[Point]:
    """The ring without the points that ``TOLERANCE`` does not need (Douglas and Peucker)."""
    if len(ring) < 4:
        return ring
    points = np.array([*ring, ring[0]])
    half = int(np.argmax(np.hypot(*(points - points[0]).T)))
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, half, -1]] = True
    spans = [(0, half), (half, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        along = points[last] - points[first]
        away = points[first + 1 : last] - points[first]
        length = float(np.hypot(*along))
        off = np.abs(away[:, 0] * along[1] - away[:, 1] * along[0]) / max(length, 1e-9)
        worst = int(np.argmax(off))
        if off[worst] > TOLERANCE:
            middle = first + 1 + worst
            keep[middle] = True
            spans += [(first, middle), (middle, last)]
    return [(float(x), float(y)) for x, y in points[:-1][keep[:-1]]]


def _area(ring: list[Point]) -> float:
    x, y = np.array(ring).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2.0
