"""The one road from decoded pixels to the network's input, for training and for serving alike.

Two steps. ``resize_square`` squashes the picture to a square with antialiasing, so that neither the
aspect nor the sharpness of a file tells which collection it came from. ``normalise`` removes
exposure and contrast differences of one picture. Training augments between the two steps; serving
does one after the other and nothing else, as ``prepare`` does.

A released model names the ``PREPROCESSING_VERSION`` it was trained with and refuses to load with
another.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

FloatArray = npt.NDArray[np.float32]

PREPROCESSING_VERSION: Final = 1

LOW_PERCENTILE: Final = 1.0
HIGH_PERCENTILE: Final = 99.0
FLAT_SPAN: Final = 1e-3
"""A picture whose percentiles lie closer than this holds nothing to stretch."""


def resize_square(pixels: FloatArray, size: int) -> FloatArray:
    """Squash a picture to a square.

    :param pixels: (h, w) float32 in [0, 1], white is dense.
    :param size: the side of the square in pixels.
    :returns: (size, size) float32 in [0, 1].
    """
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise ValueError(f"expected a 2-D picture, got shape {pixels.shape}")
    reduced = _reduce(np.ascontiguousarray(pixels, dtype=np.float32), size)
    square = Image.fromarray(reduced).resize((size, size), Image.Resampling.HAMMING)
    return np.clip(np.asarray(square, dtype=np.float32), 0.0, 1.0)


def normalise(square: FloatArray) -> FloatArray:
    """Stretch between two percentiles, then shift and scale to mean 0 and standard deviation 1.

    :param square: (s, s) float32 in [0, 1].
    :returns: (s, s) float32 without unit, roughly within ±3; all zeros for a flat picture.
    """
    low, high = _percentiles(square)
    if high - low < FLAT_SPAN:
        return np.zeros_like(square)
    stretched = np.clip((square - low) / (high - low), 0.0, 1.0)
    centred: FloatArray = stretched - stretched.mean(dtype=np.float64).astype(np.float32)
    spread = np.float32(np.sqrt(np.mean(np.square(centred, dtype=np.float64))))
    return centred / max(spread, np.float32(FLAT_SPAN))


def prepare(pixels: FloatArray, size: int) -> FloatArray:
    """Turn a decoded picture into what the network takes.

    :param pixels: (h, w) float32 in [0, 1], white is dense.
    :returns: (size, size, 1) float32.
    """
    return normalise(resize_square(pixels, size))[..., np.newaxis]


def _reduce(pixels: FloatArray, size: int) -> FloatArray:
    """Average whole blocks while both sides stay at least twice the target: far cheaper than one
    long filter."""
    height, width = pixels.shape
    down, across = max(1, height // (2 * size)), max(1, width // (2 * size))
    if down == 1 and across == 1:
        return pixels
    reduced = Image.fromarray(pixels).reduce((across, down))
    return np.asarray(reduced, dtype=np.float32)


def _percentiles(square: FloatArray) -> tuple[np.float32, np.float32]:
    """The two percentiles as order statistics: no interpolation, so no rounding to differ between
    machines."""
    flat = square.ravel()
    low_rank = int(flat.size * LOW_PERCENTILE / 100.0)
    high_rank = min(flat.size - 1, int(flat.size * HIGH_PERCENTILE / 100.0))
    ordered = np.partition(flat, (low_rank, high_rank))
    return np.float32(ordered[low_rank]), np.float32(ordered[high_rank])
