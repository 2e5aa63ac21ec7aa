"""How an image looks as a whole: few numbers, so that a change of machines or exports shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image as Picture

SIDE = 512  # pixels; sharpness depends on the scale at which it is looked for


@dataclass(frozen=True)
class Measures:
    """Greys are in [0, 1]. ``sharpness`` has no unit."""

    mean_grey: float
    contrast: float
    sharpness: float


def measure(content: IO[bytes]) -> Measures:
    """Measure a display rendition, which the intake has made and which is safe to decode.

    :raises OSError: it cannot be read.
    """
    with Picture.open(content) as picture:
        picture.draft("L", (SIDE, SIDE))
        grey = picture.convert("L")
        grey.thumbnail((SIDE, SIDE), Picture.Resampling.BILINEAR)
        pixels = np.asarray(grey, dtype=np.float32) / 255.0
    contrast = float(pixels.std())
    steps = [np.abs(np.diff(pixels, axis=axis)) for axis in (0, 1)]
    steps = [step for step in steps if step.size]
    roughness = float(np.mean([step.mean() for step in steps])) if steps else 0.0
    return Measures(
        mean_grey=float(pixels.mean()),
        contrast=contrast,
        sharpness=roughness / contrast if contrast > 0.0 else 0.0,
    )
