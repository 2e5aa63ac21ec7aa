"""Does a picture carry words? A look for rows of letter-like strokes, without reading them.

Machines write names, numbers and dates into films. Letters are small marks of one even shade that
differ sharply from what lies behind them, of one height, side by side on a line; bones, tubes and
edges are none of that together. A row of four such marks is reported, with the box it lies in. A
single marker of the side (L, R) is none. What is found is a warning, never a proof of the opposite:
how often it is right is in the guide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from screening.sharing.blackout import Box

LONG_SIDE: Final = 1024
"""Pictures are looked at in this size."""
STROKE: Final = 9
"""Strokes of letters are thinner than this (pixels at ``LONG_SIDE``)."""
CONTRAST: Final = 60
"""By so many greys of 255 a letter differs from what lies behind it."""
LEAST_HEIGHT: Final = 8
MOST_HEIGHT: Final = 64
LEAST_IN_ROW: Final = 4
MOST_MARKS: Final = 4000
"""A picture that falls into more pieces is noise, or all text; it is reported as a whole."""

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Mark:
    top: int
    bottom: int
    left: int
    right: int
    area: int
    even: bool

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


def find_lettering(grey: Grey) -> list[Box]:
    """Where rows of letters seem to stand in an 8-bit picture, (h, w)."""
    height, width = grey.shape
    scale = LONG_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    seen = np.asarray(
        Picture.fromarray(grey).resize(size, Picture.Resampling.BICUBIC), dtype=np.int16
    )
    boxes: list[Box] = []
    for turned in (seen, 255 - seen):
        boxes += [_box(row, size) for row in _rows(turned)]
    return boxes


def _rows(seen: npt.NDArray[np.int16]) -> list[list[_Mark]]:
    """Rows of bright letters."""
    opened = _shift_extreme(_shift_extreme(seen, STROKE, np.minimum), STROKE, np.maximum)
    lettered = (seen - opened) > CONTRAST
    marks = [mark for mark in _marks(lettered, seen) if _is_letter(mark)]
    if len(marks) > MOST_MARKS:
        return [marks]
    return _in_rows(marks)


def _shift_extreme(values: npt.NDArray[np.int16], size: int, best: Any) -> npt.NDArray[np.int16]:
    """The least (or most) of each pixel's neighbours in a square of ``size``."""
    reach = size // 2
    for axis in (0, 1):
        pads = [(reach, reach) if one == axis else (0, 0) for one in (0, 1)]
        padded = np.pad(values, pads, mode="edge")
        length = values.shape[axis]
        found = values
        for step in range(size):
            part = padded[step : step + length] if axis == 0 else padded[:, step : step + length]
            found = best(found, part)
        values = found
    return values


def _marks(on: npt.NDArray[np.bool_], seen: npt.NDArray[np.int16]) -> list[_Mark]:
    """The connected pieces of ``on`` (eight neighbours), by runs of rows."""
    height, _width = on.shape
    edges = np.diff(np.pad(on.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    if len(starts) > 40 * MOST_MARKS:
        return []
    parent = list(range(len(starts)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    rows = starts[:, 0]
    first_of = np.searchsorted(rows, np.arange(height + 1)).tolist()
    left, right = starts[:, 1].tolist(), ends[:, 1].tolist()
    for row in range(1, height):
        above, below = first_of[row - 1], first_of[row]
        last_above, last = first_of[row], first_of[row + 1]
        while above < last_above and below < last:
            if left[above] <= right[below] and left[below] <= right[above]:
                parent[root(below)] = root(above)
            if right[above] < right[below]:
                above += 1
            else:
                below += 1
    pieces: dict[int, list[int]] = {}
    for one in range(len(starts)):
        pieces.setdefault(root(one), []).append(one)
    return [_mark(runs, rows, left, right, seen) for runs in pieces.values() if len(runs) >= 5]


def _mark(
    runs: list[int],
    rows: npt.NDArray[Any],
    left: list[int],
    right: list[int],
    seen: npt.NDArray[np.int16],
) -> _Mark:
    shades = np.concatenate([seen[rows[run], left[run] : right[run]] for run in runs])
    brightest = np.sort(shades)[len(shades) // 3 :]
    return _Mark(
        top=int(rows[runs[0]]),
        bottom=int(rows[runs[-1]]) + 1,
        left=min(left[run] for run in runs),
        right=max(right[run] for run in runs),
        area=len(shades),
        even=bool(brightest.std() < 22),
    )


def _is_letter(mark: _Mark) -> bool:
    if not LEAST_HEIGHT <= mark.height <= MOST_HEIGHT or not mark.even:
        return False
    if not 2 <= mark.width <= 1.6 * mark.height:
        return False
    fill = mark.area / (mark.height * mark.width)
    return 0.12 <= fill <= 0.95


def _in_rows(marks: list[_Mark]) -> list[list[_Mark]]:
    """Marks of one height side by side, at least ``LEAST_IN_ROW`` of them."""
    found = []
    left_over = sorted(marks, key=lambda mark: mark.left)
    while left_over:
        row = [left_over.pop(0)]
        for mark in list(left_over):
            last = row[-1]
            tall = max(last.height, mark.height)
            if (
                mark.left - last.right <= 1.2 * tall
                and mark.left >= last.right - 0.3 * tall
                and min(last.bottom, mark.bottom) - max(last.top, mark.top) >= 0.6 * tall
                and min(last.height, mark.height) >= 0.6 * tall
            ):
                row.append(mark)
                left_over.remove(mark)
        if len(row) >= LEAST_IN_ROW and len({mark.width for mark in row}) > 1:
            found.append(row)
    return found


def _box(row: list[_Mark], size: tuple[int, int]) -> Box:
    """The box around a row, with half a letter's height to spare."""
    spare = max(mark.height for mark in row) / 2
    width, height = size
    return Box(
        left=max(0.0, 100 * (min(mark.left for mark in row) - spare) / width),
        top=max(0.0, 100 * (min(mark.top for mark in row) - spare) / height),
        right=min(100.0, 100 * (max(mark.right for mark in row) + spare) / width),
        bottom=min(100.0, 100 * (max(mark.bottom for mark in row) + spare) / height),
    )
