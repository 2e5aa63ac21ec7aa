"""The heatmap: where in the picture the evidence for a class lies.

The class maps come from the same forward pass as the probabilities, and their mean is the logit:
what is drawn is the reason itself, not a second opinion about it. Only evidence that sets a class
apart from the other two counts, for what is common to all three cancels out in the probabilities.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml import CLASSES
from ml.predict import Prediction
from ml.preprocess import FloatArray
from ml.view import WHOLE, place

LONG_SIDE: Final = 512
PLACED_SIDE: Final = 64
"""Grid on which evidence of several looks is laid together."""
FAINTEST_PEAK: Final = 3.0
"""Evidence whose peak is lower is drawn faint instead of being stretched to full strength."""
STRONGEST_ALPHA: Final = 190

ANCHORS: Final = (
    (0.00, (12, 8, 38)),
    (0.20, (66, 15, 92)),
    (0.40, (140, 34, 100)),
    (0.60, (210, 66, 68)),
    (0.80, (246, 128, 36)),
    (1.00, (252, 236, 148)),
)
"""A ramp from near black over violet and red to pale yellow, of evenly rising lightness."""


def evidence(prediction: Prediction, label: str | None = None) -> FloatArray:
    """The evidence for a class against the mean of all three, (h, w) float32, in logits, over the
    whole picture.

    :param label: the class; None for the predicted one.
    :raises ValueError: for an unknown class.
    """
    wanted = label if label is not None else prediction.label
    if wanted not in CLASSES:
        raise ValueError(f"unknown class {wanted!r}")
    maps = prediction.cam
    apart: FloatArray = maps[..., CLASSES.index(wanted)] - maps.mean(axis=3)
    if prediction.frames == (WHOLE,):
        whole: FloatArray = apart[0]
        return whole
    pairs = zip(apart, prediction.frames, strict=True)
    laid: FloatArray = np.mean([place(one, frame, PLACED_SIDE) for one, frame in pairs], axis=0)
    return laid


def heatmap_png(
    prediction: Prediction, label: str | None = None, size: tuple[int, int] = (LONG_SIDE, LONG_SIDE)
) -> bytes:
    """Draw the positive evidence as a PNG with a transparent palette to lay over the X-ray.

    :param label: the class; None for the predicted one.
    :param size: width and height of the X-ray; the PNG keeps its aspect, long side at most 512.
    :raises ValueError: for an unknown class or an empty size.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ValueError("the size must be at least one pixel")
    shrink = min(1.0, LONG_SIDE / max(width, height))
    target = max(1, round(width * shrink)), max(1, round(height * shrink))
    found = evidence(prediction, label)
    strength = np.clip(found, 0.0, None) / np.float32(max(float(found.max()), FAINTEST_PEAK))
    smooth = Image.fromarray(strength.astype(np.float32)).resize(target, Image.Resampling.BICUBIC)
    # 64 steps look even and pack into half the bytes and time of 256
    steps = np.clip(np.asarray(smooth) * np.float32(255.0), 0.0, 255.0).astype(np.uint8) & 0xFC
    drawn = Image.fromarray(steps, "L")
    drawn.putpalette(_RAMP[:, :3].tobytes())
    stream = io.BytesIO()
    # a palette: one byte a pixel to pack instead of four
    drawn.save(stream, "PNG", compress_level=1, transparency=_RAMP[:, 3].tobytes())
    return stream.getvalue()


def _ramp() -> npt.NDArray[np.uint8]:
    """Colour and opacity of 256 strengths, (256, 4) uint8. Weak evidence is nearly clear."""
    strengths = np.linspace(0.0, 1.0, 256)
    places = [place for place, _ in ANCHORS]
    channels = [
        np.interp(strengths, places, [colour[channel] for _, colour in ANCHORS])
        for channel in range(3)
    ]
    rising = np.clip((strengths - 0.06) / 0.6, 0.0, 1.0)
    alpha = STRONGEST_ALPHA * rising * rising * (3.0 - 2.0 * rising)
    return np.rint(np.stack([*channels, alpha], axis=1)).astype(np.uint8)


_RAMP: Final = _ramp()
