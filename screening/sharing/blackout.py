"""Making parts of a picture black, for good, before it leaves the house."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy.typing as npt

MOST_BOXES: Final = 12
MOST_BORDER: Final = 25
"""Per cent of each side; more would leave no picture."""


@dataclass(frozen=True)
class Box:
    """A part of a picture, in per cent of its width and height from the upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def is_sound(self) -> bool:
        return 0 <= self.left < self.right <= 100 and 0 <= self.top < self.bottom <= 100


def border(percent: float) -> tuple[Box, ...]:
    """Four boxes around a picture; none for nothing."""
    if percent <= 0:
        return ()
    far = 100 - percent
    return (
        Box(0, 0, 100, percent),
        Box(0, far, 100, 100),
        Box(0, 0, percent, 100),
        Box(far, 0, 100, 100),
    )


def blacken(values: npt.NDArray[Any], boxes: Collection[Box], black: int) -> None:
    """Write ``black`` over every pixel that a box touches, in place."""
    height, width = values.shape[:2]
    for box in boxes:
        top, left = int(height * box.top / 100), int(width * box.left / 100)
        bottom = -int(-height * box.bottom // 100)
        right = -int(-width * box.right // 100)
        values[top:bottom, left:right] = black
