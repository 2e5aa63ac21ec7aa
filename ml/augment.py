"""Random changes of training pictures that a radiograph may undergo without changing its diagnosis.

They aim at what must not matter: small turns and shifts, mirroring, exposure, sharpness
(collections differ in resolution), and what stands at the edges (markers, captions, frames).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ml import preprocess
from ml.preprocess import FloatArray

MAX_TURN_DEGREES = 10.0
MAX_SHIFT = 0.06
SCALE_RANGE = (0.85, 1.12)
MAX_STRETCH = 0.08


def augment(square: npt.NDArray[np.uint8], size: int, rng: np.random.Generator) -> FloatArray:
    """One random variant of a stored square, normalised.

    :param square: (s, s) uint8.
    :param size: the side of the variant, at most s.
    :returns: (size, size, 1) float32.
    """
    picture = Image.fromarray(square)
    if rng.random() < 0.3:
        picture = _soften(picture, rng)
    picture = _move(picture, size, rng)
    values = np.asarray(picture, dtype=np.float32) / np.float32(255.0)
    values = _expose(values, rng)
    if rng.random() < 0.5:
        values = _erase_edges(values, rng)
    return preprocess.normalise(values)[..., np.newaxis]


def _soften(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Blur, or shrink and enlarge, as a poorer copy of the same film would look."""
    if rng.random() < 0.5:
        return picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
    side = int(picture.width * rng.uniform(0.5, 0.9))
    small = picture.resize((side, side), Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.BILINEAR)


def _move(picture: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """Turn, scale, stretch, shift and perhaps mirror about the middle; what comes in from outside
    is black."""
    if size < picture.width:
        picture = picture.resize((size, size), Image.Resampling.HAMMING)
    angle = math.radians(
        float(np.clip(rng.normal(0.0, MAX_TURN_DEGREES / 2), -MAX_TURN_DEGREES, MAX_TURN_DEGREES))
    )
    scale = float(rng.uniform(*SCALE_RANGE))
    stretch = float(rng.uniform(1.0 - MAX_STRETCH, 1.0 + MAX_STRETCH))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    centre = size / 2.0
    shift_x, shift_y = (float(v) for v in rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2) * size)
    a, b = math.cos(angle) / (scale * stretch) * mirror, math.sin(angle) / scale
    d, e = -math.sin(angle) / (scale * stretch) * mirror, math.cos(angle) * stretch / scale
    c = centre - a * (centre + shift_x) - b * (centre + shift_y)
    f = centre - d * (centre + shift_x) - e * (centre + shift_y)
    return picture.transform(
        (size, size), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR
    )


def _expose(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Another exposure: gamma, contrast about the mean, and a little noise."""
    gamma = math.exp(float(rng.normal(0.0, 0.22)))
    exposed: FloatArray = np.power(values, np.float32(gamma))
    if rng.random() < 0.3:
        exposed = exposed + rng.standard_normal(values.shape, dtype=np.float32) * np.float32(
            rng.uniform(0.0, 0.03)
        )
    return np.clip(exposed, 0.0, 1.0)


def _erase_edges(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Blank one to three edge strips or corners to some even grey, so that frames and captions
    count for little."""
    erased = values.copy()
    size = values.shape[0]
    for _ in range(int(rng.integers(1, 4))):
        grey = np.float32(rng.choice([0.0, rng.random(), 1.0], p=[0.5, 0.35, 0.15]))
        side = int(rng.integers(0, 8))
        if side < 4:
            strip = max(1, int(size * rng.uniform(0.01, 0.08)))
            turned = np.rot90(erased, side)
            turned[:strip] = grey
        else:
            high, wide = (max(1, int(size * v)) for v in rng.uniform(0.06, 0.2, 2))
            turned = np.rot90(erased, side - 4)
            turned[:high, :wide] = grey
    return erased
