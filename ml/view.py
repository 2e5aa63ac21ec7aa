"""What the classifier is shown of a picture: all of it, or the lungs from three distances.

Films of one collection share borders, captions and body size, and children's films share the
child's: a network that is shown them learns them. A model of the kind ``lungs`` is therefore asked
three times: of the whole picture, of the upright rectangle around the lungs scaled up to the whole
square, and of the lungs alone with everything else in the rectangle taken out. Its answer is the
mean of the three, given by one head, which has to find what all three have in common. In each look
only what the network finds at the lungs' places counts (``ml.lite``). Which of these helped with
unseen sources, and by how much, is in docs/decisions.md.

Where no lungs are found the whole picture stands in for them, so that evaluation has numbers; the
quality gate refuses such a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ml.lungs import BoolArray, Lungs, dilate, extent
from ml.preprocess import FloatArray, normalise

LOOKS: Final = 3
"""At a picture whose lungs are known."""
MARGIN: Final = 0.06
"""Room around the lungs, as a share of their width and height."""
WIDENED: Final = 3 / 128
"""How far the lungs are widened where they are told from the rest, as a share of the side."""
FEATHER: Final = 2 / 128
"""Standard deviation of their soft edge, likewise."""
CLIP: Final = 3.0
"""Greys of the lungs alone lie within so many standard deviations."""
GAP: Final = 2.0
"""Large pictures are averaged over whole blocks first, down to so many times the target."""


@dataclass(frozen=True, slots=True)
class Frame:
    """An upright rectangle, its sides as shares of the picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE: Final = Frame(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Framed:
    """What lies in a frame, made square."""

    frame: Frame
    square: FloatArray
    """(s, s) float32 in [0, 1]."""
    share: FloatArray
    """(s, s) float32 in [0, 1]: how much of each place is lung, with a soft edge; all ones where no
    lungs are known."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What a model may look at of one picture."""

    whole: Framed
    close: Framed | None
    """The rectangle around the lungs; None where they are not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One question to the network."""

    frame: Frame
    prepared: FloatArray
    """(s, s, 2) float32: greys as the network takes them, and the lungs' share."""


def show(pixels: FloatArray, square: FloatArray, lungs: Lungs | None) -> Shown:
    """A picture and the rectangle around its lungs, or only the former where none are known.

    :param pixels: (h, w) float32 in [0, 1], white is dense.
    :param square: (s, s), made of them by ``ml.preprocess.resize_square``.
    :param lungs: found in them; None for a model that is shown whole pictures.
    """
    if lungs is None or not lungs.found:
        return Shown(Framed(WHOLE, square, np.ones_like(square)), None)
    frame, (size, _) = frame_of(lungs.mask), square.shape
    share = _share_of(lungs.mask)
    near = _cut(np.ascontiguousarray(pixels, dtype=np.float32), frame, size)
    return Shown(
        Framed(WHOLE, square, _cut(share, WHOLE, size)),
        Framed(frame, near, _cut(share, frame, size)),
    )


def surround(pixels: FloatArray, lungs: Lungs, other: FloatArray) -> FloatArray:
    """The lungs of a picture in the surroundings of another, which is stretched to its size.

    :param pixels: (h, w) float32 in [0, 1], in which the lungs were found.
    :param other: (h', w') likewise.
    :returns: (h, w) likewise.
    """
    high, wide = pixels.shape
    share, foreign = (
        np.asarray(
            Image.fromarray(np.ascontiguousarray(one, dtype=np.float32)).resize(
                (wide, high), Image.Resampling.BILINEAR, reducing_gap=GAP
            )
        )
        for one in (_share_of(lungs.mask), other)
    )
    mixed: FloatArray = pixels * share + foreign * (np.float32(1.0) - share)
    return mixed


def frame_of(mask: BoolArray) -> Frame:
    """The rectangle around a mask that is not empty, with room around it."""
    high, wide = mask.shape
    rows, columns = extent(mask)
    top, bottom = rows.start / high, rows.stop / high
    left, right = columns.start / wide, columns.stop / wide
    across, down = (right - left) * MARGIN, (bottom - top) * MARGIN
    return Frame(
        max(0.0, left - across),
        max(0.0, top - down),
        min(1.0, right + across),
        min(1.0, bottom + down),
    )


def looks(shown: Shown) -> list[Look]:
    """What the network is asked of, in turn: the whole and, where lungs are known, their rectangle
    and the lungs alone."""
    asked = [_look(shown.whole, normalise(shown.whole.square))]
    if (close := shown.close) is not None:
        asked.append(_look(close, normalise(close.square)))
        asked.append(_look(close, _only(close.square, close.share)))
    return asked


def look_without_lungs(shown: Shown) -> Look:
    """The whole picture with the lungs taken out."""
    whole = shown.whole
    return _look(whole, _only(whole.square, 1.0 - whole.share))


def place(maps: FloatArray, frame: Frame, side: int) -> FloatArray:
    """Lay a map of a frame where it belongs in the picture; nought outside.

    :param maps: (h, w) float32.
    :returns: (side, side) float32.
    """
    high, wide = maps.shape
    across = wide / ((frame.right - frame.left) * side)
    down = high / ((frame.bottom - frame.top) * side)
    laid = Image.fromarray(np.ascontiguousarray(maps, dtype=np.float32)).transform(
        (side, side),
        Image.Transform.AFFINE,
        (across, 0.0, -frame.left * side * across, 0.0, down, -frame.top * side * down),
        Image.Resampling.BILINEAR,
    )
    placed: FloatArray = np.asarray(laid, dtype=np.float32)
    return placed


def _share_of(mask: BoolArray) -> FloatArray:
    """Widened lungs with a soft edge, on the mask's grid."""
    side = mask.shape[0]
    wide = dilate(mask, max(1, round(side * WIDENED)))
    soft = Image.fromarray(np.where(wide, 255, 0).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(side * FEATHER)
    )
    share: FloatArray = np.asarray(soft, dtype=np.float32) / np.float32(255.0)
    return share


def _look(framed: Framed, greys: FloatArray) -> Look:
    return Look(framed.frame, np.stack([greys, framed.share], axis=-1))


def _only(square: FloatArray, share: npt.NDArray[np.floating]) -> FloatArray:
    """Greys of mean 0 and deviation 1 over a part of the picture, and 0, which is that mean,
    elsewhere."""
    greys = normalise(square)
    total = max(float(share.sum(dtype=np.float64)), 1.0)
    mean = float((greys * share).sum(dtype=np.float64)) / total
    spread = np.sqrt(float((np.square(greys - mean) * share).sum(dtype=np.float64)) / total)
    clipped = np.clip((greys - mean) / (spread + 1e-3), -CLIP, CLIP)
    only: FloatArray = (clipped * share).astype(np.float32)
    return only


def _cut(pixels: FloatArray, frame: Frame, size: int) -> FloatArray:
    high, wide = pixels.shape
    box = (frame.left * wide, frame.top * high, frame.right * wide, frame.bottom * high)
    square = Image.fromarray(pixels).resize(
        (size, size), Image.Resampling.HAMMING, box=box, reducing_gap=GAP
    )
    return np.clip(np.asarray(square, dtype=np.float32), 0.0, 1.0)
