"""Is this a whole chest, upright, with bone white? What the lung segmenter's certainty gives away.

The segmenter draws sharp edges where it sees lungs as it learned them, and soft ones elsewhere. So
the picture is shown to it in four quarter turns: the right one is the most certain. Most films are
so certain as they are that no turn can be more so, and are looked at once. A picture whose lungs
are no darker than what lies between them has black and white exchanged; one whose lungs run
into its edge is cropped. Needs the picture only, no classifier; beside ``ml.quality`` it is the
second half of the gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ml.lungs import LungCode, Lungs, LungSegmenter, dilate, extent
from ml.preprocess import FloatArray, resize_square
from ml.quality import QualityVerdict

PostureCode = Literal["no_lungs", "turned", "upside_down", "inverted", "cropped"]

MESSAGES: Final[dict[PostureCode, str]] = {
    "no_lungs": "No lungs could be found: check that this is a frontal chest X-ray.",
    "turned": "The picture lies on its side: turn it upright and send it again.",
    "upside_down": "The picture is upside down: turn it upright and send it again.",
    "inverted": "Black and white are exchanged: export the picture with bones white.",
    "cropped": "A good part of the lungs lies outside the picture: read the answer with care, or "
    "send the whole film.",
}
CAUTIONS: Final[frozenset[PostureCode]] = frozenset({"cropped"})
"""Codes that ask for care; any other means that the picture must not be judged."""
DIFFERENTLY: Final[frozenset[PostureCode | None]] = frozenset({"turned", "upside_down", "inverted"})
"""Codes that say lungs were seen."""
TURN_MARGIN: Final = 0.008
"""By how much more certain the segmenter must be of a turned view. None of the 1,250 upright films
of the selection split exceeds it; of films turned on purpose all on their side and 99 % upside
down do."""
CERTAIN: Final = 0.975
"""Of a picture with lungs as certain as this the turns are not looked at. No film of the selection
split comes near when it is shown lying on its side (0.937) or upside down (0.974)."""
DARKER: Final = 0.0
"""Contrast (see below) at which black and white count as exchanged. On the selection split upright
films have 0.02 and more, and the same films inverted all lie below."""
FLAT_SPAN: Final = 0.05
"""Pictures with less between their 5th and 95th percentile count as if they had that much."""
CUT: Final = 0.75
"""Length over which the lungs touch the picture's edge, over the square root of their area. Three
of 1,250 films of the selection split exceed it, and all three lack the lungs' tops."""


@dataclass(frozen=True, slots=True, eq=False)
class Posture:
    """What was found. ``code`` and ``message`` are None when nothing is wrong.

    A picture that is not ``accepted`` must not be judged; one that is may still carry a caution.
    """

    code: PostureCode | None
    message: str | None
    lungs: Lungs
    """In the picture as it is."""
    measures: dict[str, float]
    """``certainty``, ``contrast`` and ``cut``; ``certainty_turned`` and ``certainty_upside_down``
    where turns were looked at."""

    @property
    def accepted(self) -> bool:
        """Whether the picture may be judged."""
        return self.code is None or self.code in CAUTIONS


def refusal(quality: QualityVerdict, posture: Posture) -> tuple[str, str] | None:
    """Code and message with which the whole gate refuses a picture; None when it may be judged.

    A film that is turned or inverted looks unlike the films that were learned from, too. Where the
    segmenter sees lungs, only otherwise than they should be, that is the more useful word.
    """
    unlike = quality.code == "not_a_radiograph" and posture.code in DIFFERENTLY
    if not quality.accepted and not unlike:
        return quality.code or "not_a_radiograph", quality.message or ""
    if not posture.accepted:
        return posture.code or "not_a_radiograph", posture.message or ""
    return None


def judge_posture(
    segmenter: LungSegmenter, pixels: FloatArray, lungs: Lungs | None = None
) -> Posture:
    """Look at a picture as it is and, unless that settles it, in three quarter turns.

    :param pixels: (h, w) float32 in [0, 1], white is dense; a square made of it will do.
    :param lungs: what ``segmenter`` has found in it already.
    :raises ArithmeticError: when the segmenter's answer is not a number.
    """
    square = resize_square(pixels, segmenter.size)
    lungs = segmenter.find(square) if lungs is None else lungs
    measures = {
        "certainty": lungs.measures["certainty"],
        "contrast": contrast(square, lungs),
        "cut": cut(lungs),
    }
    code: PostureCode | None = None
    if not lungs.found or measures["certainty"] < CERTAIN:
        turns = [segmenter.find(np.ascontiguousarray(np.rot90(square, turn))) for turn in (1, 2, 3)]
        left, over, right = (view.measures["certainty"] for view in turns)
        measures |= {"certainty_turned": max(left, right), "certainty_upside_down": over}
        code = _turn(measures, [view.code for view in turns])
    code = code or _code(measures, lungs.code)
    return Posture(code, MESSAGES[code] if code else None, lungs, measures)


def _turn(measures: dict[str, float], turns: list[LungCode | None]) -> PostureCode | None:
    left, over, right = turns
    most = max(measures["certainty"], measures["certainty_turned"])
    if over is None and measures["certainty_upside_down"] > most + TURN_MARGIN:
        return "upside_down"
    most = max(measures["certainty"], measures["certainty_upside_down"])
    if None in (left, right) and measures["certainty_turned"] > most + TURN_MARGIN:
        return "turned"
    return None


def _code(measures: dict[str, float], upright: LungCode | None) -> PostureCode | None:
    if upright is not None:
        return "no_lungs"
    if measures["contrast"] < DARKER:
        return "inverted"
    if measures["cut"] > CUT:
        return "cropped"
    return None


def contrast(square: FloatArray, lungs: Lungs) -> float:
    """Mean grey of what lies between the lungs less that within them, over the span of greys.

    Spine, heart and great vessels are denser than lung in any patient, even where disease has made
    the lungs as dense as the chest wall. 0 where there is nothing to compare.
    """
    mask = lungs.mask
    if not mask.any():
        return 0.0
    rows, columns = extent(mask)
    first, last = columns.start, columns.stop
    third = (last - first) // 3
    between = np.zeros_like(mask)
    between[rows, first + third : last - third] = True
    between &= ~dilate(mask, 1)
    if not between.any():
        return 0.0
    low, high = np.percentile(square, [5, 95])
    apart = float(square[between].mean() - square[mask].mean())
    return apart / max(float(high - low), FLAT_SPAN)


def cut(lungs: Lungs) -> float:
    """How far the lungs run into the picture's edge; 0 when they are whole."""
    mask = lungs.mask
    touching = int(mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum())
    return touching / float(np.sqrt(max(1, int(mask.sum()))))
