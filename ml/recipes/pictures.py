"""Pictures as the recipes want them: scaled, repeated to three channels, randomly changed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.preprocess import FloatArray
from ml.recipes.protocol import Augmentation

Squares = npt.NDArray[np.uint8]

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGENET_SPREAD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def unit_grey(squares: Squares) -> FloatArray:
    """(n, s, s) bytes to (n, s, s, 1) in [0, 1]."""
    return squares.astype(np.float32)[..., np.newaxis] / np.float32(255.0)


def unit_colour(squares: Squares) -> FloatArray:
    """(n, s, s) bytes to (n, s, s, 3) in [0, 1], all channels alike."""
    return np.repeat(unit_grey(squares), 3, axis=-1)


def signed_colour(squares: Squares) -> FloatArray:
    """To [-1, 1], as MobileNet's ImageNet weights want it."""
    return unit_colour(squares) * np.float32(2.0) - np.float32(1.0)


def imagenet_colour(squares: Squares) -> FloatArray:
    """Shifted and scaled by the means and spreads of ImageNet, as DenseNet's weights want it."""
    return (unit_colour(squares) - IMAGENET_MEAN) / IMAGENET_SPREAD


def vary(squares: Squares, how: Augmentation, rng: np.random.Generator) -> Squares:
    """A random variant of each picture; what comes in from outside repeats the nearest edge."""
    if how == Augmentation():
        return squares
    return np.stack([_vary_one(square, how, rng) for square in squares])


def _vary_one(square: Squares, how: Augmentation, rng: np.random.Generator) -> Squares:
    angle = math.radians(float(rng.uniform(-how.turn_degrees, how.turn_degrees)))
    shear = math.radians(float(rng.uniform(-how.shear_degrees, how.shear_degrees)))
    across, down = (float(v) for v in rng.uniform(1 - how.zoom, 1 + how.zoom, 2))
    mirror = -1.0 if how.flip and rng.random() < 0.5 else 1.0
    # from a place in the variant back to one in the picture: turn, then shear, then zoom
    a = math.cos(angle) * across * mirror
    b = -math.sin(angle + shear) * down
    d = math.sin(angle) * across * mirror
    e = math.cos(angle + shear) * down
    side = square.shape[0]
    margin = side // 4
    centre = side / 2.0
    c = margin + centre - (a + b) * centre
    f = margin + centre - (d + e) * centre
    framed = Image.fromarray(np.pad(square, margin, mode="edge"))
    moved = framed.transform(
        (side, side), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR
    )
    return np.asarray(moved, dtype=np.uint8)
