"""The shortcut meter: does an answer come from the lungs, or from what happens to surround them?

Films of one collection share borders, captions, body size and posture, and a network may learn
those instead of the disease (DeGrave et al. 2021; Maguolo & Nanni 2020). For one answer the meter
says what share of the drawn evidence lies in the lungs, and looks twice more: at the picture
without its lungs, and at the lungs without the rest of the picture.

A network always answers something, also to a picture without lungs. So "the class survives" is
measured against what lungless pictures of *other* classes give: it does when fewer than one in
twenty of those, on the selection split, score as high. Such an answer is marked unreliable, as is
one whose class all but vanishes when only the lungs are left.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ml import CLASSES
from ml.explain import evidence
from ml.imaging import DecodedImage
from ml.lungs import BoolArray, Lungs, LungSegmenter, dilate, extent, resize_mask
from ml.predict import Prediction, Predictor
from ml.preprocess import FloatArray

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Verdict = Literal["reliable", "unreliable", "unknown"]
Reason = Literal["needs_lungs", "survives_without_lungs", "lost_with_lungs_only", "no_lungs"]

SENTENCES: Final[dict[Reason, str]] = {
    "needs_lungs": "No shortcut was found: the answer needs the lungs.",
    "survives_without_lungs": (
        "Unreliable: the answer stays when the lungs are covered, so it does not rest on them."
    ),
    "lost_with_lungs_only": (
        "Unreliable: the answer goes when all but the lungs is covered, so it rests on what "
        "surrounds them."
    ),
    "no_lungs": "The lungs could not be found, so nobody can say where the answer comes from.",
}
MARGIN: Final = 0.03
"""How far the lungs' mask is widened on every side, as a share of the picture's side: evidence at
the pleura and the blur of the class maps still count as lung."""
FEATHER: Final = 2.0
"""Pixels over which a cover fades, so that its edge is not the sharpest thing in the picture."""
OTHERS_SHARE: Final = 0.05
"""Share of lungless pictures of other classes that may score as high without meaning anything."""
VANISHED: Final = 0.10
"""A class whose probability is lower in the lungs-only picture is lost there."""


@dataclass(frozen=True, slots=True)
class ShortcutLimits:
    """From what probability without lungs on a class survives, in the order of ``ml.CLASSES``."""

    without_lungs: tuple[float, ...]
    vanished: float = VANISHED

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which ``from_json`` makes the same again."""
        return {
            "without_lungs": dict(zip(CLASSES, self.without_lungs, strict=True)),
            "vanished": self.vanished,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ShortcutLimits:
        """:raises KeyError, TypeError, ValueError: when the content is not of ``to_json``."""
        limits = cls(
            tuple(float(content["without_lungs"][label]) for label in CLASSES),
            float(content["vanished"]),
        )
        if not all(0.0 <= value <= 1.0 for value in (*limits.without_lungs, limits.vanished)):
            raise ValueError("a limit of the shortcut meter is out of range")
        return limits


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What the meter measures of one answer, before any verdict."""

    label: str
    lungs: Lungs
    inside: float | None
    """Share of the positive evidence for the answer that lies in the widened lungs; None when the
    lungs were not found or there is no such evidence."""
    area: float | None
    """Share of the picture that the widened lungs cover: what evidence spread evenly would give."""
    without_lungs: tuple[float, ...] | None
    """Calibrated probabilities of the picture with the widened lungs covered."""
    lungs_only: tuple[float, ...] | None
    """The same with everything covered but the lungs. A model that is shown the lungs learned from
    lungs cut out along their outline, too; one that is shown whole pictures keeps the rectangle
    around them, since such a cut resembles no picture it ever learned from."""


@dataclass(frozen=True, slots=True, eq=False)
class ShortcutReading:
    """The verdict on one answer."""

    verdict: Verdict
    reason: Reason
    sentence: str
    probe: Probe
    survives_without_lungs: bool | None
    survives_with_lungs_only: bool | None
    milliseconds: float
    """Wall time of segmenter and both extra looks."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, to be stored with a result."""
        probe = self.probe
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "sentence": self.sentence,
            "evidence_in_lungs": probe.inside,
            "lung_area": probe.area,
            "survives_without_lungs": self.survives_without_lungs,
            "survives_with_lungs_only": self.survives_with_lungs_only,
            "without_lungs": _by_class(probe.without_lungs),
            "lungs_only": _by_class(probe.lungs_only),
            "lungs": {"code": probe.lungs.code, **probe.lungs.measures},
        }


class ShortcutMeter:
    """The meter of one released model. Threads may share one, as they share the predictor."""

    def __init__(
        self, predictor: Predictor, segmenter: LungSegmenter, limits: ShortcutLimits
    ) -> None:
        self.limits = limits
        self._predictor = predictor
        self._segmenter = segmenter

    def read(self, decoded: DecodedImage, prediction: Prediction) -> ShortcutReading:
        """Judge where an answer comes from.

        :param prediction: what this meter's predictor said of ``decoded``.
        :raises ArithmeticError: when a network's answer is not a number.
        """
        started = time.perf_counter()
        found = probe(self._predictor, self._segmenter, decoded, prediction)
        return judge(found, self.limits, (time.perf_counter() - started) * 1000.0)


def probe(
    predictor: Predictor, segmenter: LungSegmenter, decoded: DecodedImage, prediction: Prediction
) -> Probe:
    """Measure one answer: the segmenter at most once, the classifier at most twice."""
    square = prediction.square
    lungs = prediction.lungs or segmenter.find(square)
    if not lungs.found:
        return Probe(prediction.label, lungs, None, None, None, None)
    wide = widen(lungs.mask)
    inside = evidence_share(evidence(prediction), wide)
    area = float(wide.mean())
    if prediction.lungs_only is not None:
        without = predictor.without_lungs(prediction)
        return Probe(prediction.label, lungs, inside, area, without, prediction.lungs_only)

    def look(keep: BoolArray) -> tuple[float, ...]:
        answer = predictor.predict(replace(decoded, pixels=cover(square, ~keep)))
        return tuple(answer.probabilities[label] for label in CLASSES)

    fitted = resize_mask(wide, square.shape)
    return Probe(
        label=prediction.label,
        lungs=lungs,
        inside=inside,
        area=area,
        without_lungs=look(~fitted),
        lungs_only=look(around(fitted)),
    )


def judge(found: Probe, limits: ShortcutLimits, milliseconds: float = 0.0) -> ShortcutReading:
    """The verdict on a measured answer."""
    if found.without_lungs is None or found.lungs_only is None:
        return ShortcutReading(
            "unknown", "no_lungs", SENTENCES["no_lungs"], found, None, None, milliseconds
        )
    number = CLASSES.index(found.label)
    survives = found.without_lungs[number] >= limits.without_lungs[number]
    stays = found.lungs_only[number] >= limits.vanished
    reason: Reason = "needs_lungs"
    if survives:
        reason = "survives_without_lungs"
    elif not stays:
        reason = "lost_with_lungs_only"
    verdict: Verdict = "reliable" if reason == "needs_lungs" else "unreliable"
    return ShortcutReading(verdict, reason, SENTENCES[reason], found, survives, stays, milliseconds)


def fit_limits(probes: Sequence[Probe], labels: Labels) -> ShortcutLimits:
    """Find from what probability without lungs on a class survives.

    :param probes: of pictures of the selection split.
    :param labels: (n,) their true class numbers.
    :raises ValueError: when a class has no other to be compared with.
    """
    seen = [
        (one.without_lungs, label)
        for one, label in zip(probes, labels.tolist(), strict=True)
        if one.without_lungs is not None
    ]
    chances = np.array([values for values, _ in seen], dtype=np.float64)
    truth = np.array([label for _, label in seen], dtype=np.int64)
    limits = []
    for number in range(len(CLASSES)):
        others = np.sort(chances[truth != number, number]) if len(seen) else np.array([])
        if len(others) == 0:
            raise ValueError("the shortcut meter needs pictures of more than one class")
        limits.append(float(others[min(len(others) - 1, int(len(others) * (1 - OTHERS_SHARE)))]))
    return ShortcutLimits(tuple(limits))


def widen(mask: BoolArray) -> BoolArray:
    """The lungs and a margin around them, which still counts as lung."""
    return dilate(mask, max(1, round(mask.shape[0] * MARGIN)))


def around(mask: BoolArray) -> BoolArray:
    """The upright rectangle around a mask that is not empty."""
    filled = np.zeros_like(mask)
    filled[extent(mask)] = True
    return filled


def cover(square: FloatArray, hidden: BoolArray) -> FloatArray:
    """Fill the hidden part with the mean grey of the rest, with a soft edge.

    A blurred picture would not do: a thumbnail of 16 × 16 pixels still tells these classes apart.

    :param square: (s, s) float32 in [0, 1].
    :param hidden: (s, s).
    """
    grey = square[~hidden].mean() if not hidden.all() else square.mean()
    soft = Image.fromarray(np.where(hidden, 255, 0).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(FEATHER)
    )
    share = np.asarray(soft, dtype=np.float32) / np.float32(255.0)
    covered: FloatArray = square + (np.float32(grey) - square) * share
    return np.clip(covered, 0.0, 1.0)


def evidence_share(found: FloatArray, region: BoolArray) -> float | None:
    """The share of the positive evidence in a region, as the heatmap draws it; None without any.

    :param found: (h, w) from ``ml.explain.evidence``.
    :param region: (s, s).
    """
    height, width = region.shape
    drawn = Image.fromarray(found).resize((width, height), Image.Resampling.BICUBIC)
    positive = np.clip(np.asarray(drawn), 0.0, None)
    total = float(positive.sum())
    return float(positive[region].sum()) / total if total > 0.0 else None


def _by_class(values: tuple[float, ...] | None) -> dict[str, float] | None:
    return dict(zip(CLASSES, values, strict=True)) if values is not None else None
