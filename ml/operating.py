"""Operating points: from what probability on a class is called, and what that costs.

The default asks for a sensitivity and takes the highest threshold that reaches it on the selection
split; the specificity there is shown beside it, both with intervals. The whole table is kept, so
that a site may choose otherwise. A threshold belongs to one model: an old one on a new model is a
known way to do harm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml import CLASSES

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Interval = tuple[float, float]

SENSITIVITY: Final = 0.90
Z: Final = 1.959963984540054
"""Of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A class is called when its calibrated probability is at least ``threshold``."""

    label: str
    threshold: float
    sensitivity: float
    sensitivity_ci: Interval
    specificity: float
    specificity_ci: Interval
    positives: int
    negatives: int

    def calls(self, probabilities: Mapping[str, float]) -> bool:
        """Whether the class is called for these probabilities by class."""
        return probabilities[self.label] >= self.threshold

    def predictive_values(self, prevalence: float) -> tuple[float | None, float | None]:
        """PPV and NPV where the class has this prevalence; None where nothing is called.

        :raises ValueError: for a prevalence outside [0, 1].
        """
        if not 0.0 <= prevalence <= 1.0:
            raise ValueError("the prevalence must lie between 0 and 1")
        called = self.sensitivity * prevalence
        wrongly = (1.0 - self.specificity) * (1.0 - prevalence)
        cleared = self.specificity * (1.0 - prevalence)
        missed = (1.0 - self.sensitivity) * prevalence
        ppv = called / (called + wrongly) if called + wrongly > 0 else None
        npv = cleared / (cleared + missed) if cleared + missed > 0 else None
        return ppv, npv

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RocTable:
    """What each threshold gives for one class against the rest.

    Holds the thresholds at which a picture of the class is gained, from high to low: between two of
    them only false calls are gained.
    """

    label: str
    thresholds: tuple[float, ...]
    hits: tuple[int, ...]
    """Pictures of the class at or above each threshold."""
    false_calls: tuple[int, ...]
    """Other pictures at or above each threshold."""
    positives: int
    negatives: int

    def choose(self, sensitivity: float = SENSITIVITY) -> OperatingPoint:
        """The highest threshold with at least this sensitivity.

        :raises ValueError: for a sensitivity outside (0, 1].
        """
        if not 0.0 < sensitivity <= 1.0:
            raise ValueError("the sensitivity must lie above 0 and at most at 1")
        needed = math.ceil(sensitivity * self.positives - 1e-9)
        number = int(np.searchsorted(self.hits, needed))
        return self._describe(self.thresholds[number], self.hits[number], self.false_calls[number])

    def choose_specificity(self, specificity: float) -> OperatingPoint:
        """The lowest threshold of the table with at least this specificity.

        :raises ValueError: for a specificity outside (0, 1], and where no threshold reaches it
            that finds a single picture of the class.
        """
        if not 0.0 < specificity <= 1.0:
            raise ValueError("the specificity must lie above 0 and at most at 1")
        allowed = math.floor((1.0 - specificity) * self.negatives + 1e-9)
        number = int(np.searchsorted(self.false_calls, allowed, side="right")) - 1
        if number < 0:
            raise ValueError(f"no threshold reaches a specificity of {specificity}")
        return self._describe(self.thresholds[number], self.hits[number], self.false_calls[number])

    def at(self, threshold: float) -> OperatingPoint:
        """What a threshold that was chosen elsewhere gives.

        Its false calls are rounded up to those of the table's next lower threshold, or to all.
        """
        reached = sum(value >= threshold for value in self.thresholds)
        if reached and self.thresholds[reached - 1] == threshold:
            return self._describe(threshold, self.hits[reached - 1], self.false_calls[reached - 1])
        hits = self.hits[reached - 1] if reached else 0
        below = self.false_calls[reached] if reached < len(self.false_calls) else self.negatives
        return self._describe(threshold, hits, below)

    def _describe(self, threshold: float, hits: int, false_calls: int) -> OperatingPoint:
        rejected = self.negatives - false_calls
        return OperatingPoint(
            label=self.label,
            threshold=threshold,
            sensitivity=hits / self.positives,
            sensitivity_ci=wilson(hits, self.positives),
            specificity=rejected / self.negatives,
            specificity_ci=wilson(rejected, self.negatives),
            positives=self.positives,
            negatives=self.negatives,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which ``from_json`` makes the same again."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RocTable:
        """:raises KeyError, TypeError, ValueError: when the content is not of ``to_json``."""
        table = cls(
            label=str(content["label"]),
            thresholds=tuple(float(value) for value in content["thresholds"]),
            hits=tuple(int(value) for value in content["hits"]),
            false_calls=tuple(int(value) for value in content["false_calls"]),
            positives=int(content["positives"]),
            negatives=int(content["negatives"]),
        )
        lengths = {len(table.thresholds), len(table.hits), len(table.false_calls)}
        if table.label not in CLASSES or len(lengths) != 1 or 0 in lengths or not table.negatives:
            raise ValueError("not a table of operating points")
        if table.hits[-1] != table.positives:
            raise ValueError("the table of operating points is incomplete")
        return table


def fit_roc(probabilities: npt.ArrayLike, labels: Labels, label: str) -> RocTable:
    """The table of one class.

    :param probabilities: (n, 3) calibrated, of the selection split.
    :param labels: (n,) class numbers.
    :raises ValueError: when there is no picture of the class, or none of the others.
    """
    number = CLASSES.index(label)
    scores = np.asarray(probabilities, dtype=np.float64)[:, number]
    own, others = np.sort(scores[labels == number]), np.sort(scores[labels != number])
    if len(own) == 0 or len(others) == 0:
        raise ValueError(f"an operating point for {label} needs pictures with and without it")
    thresholds = np.unique(own)[::-1]
    hits = len(own) - np.searchsorted(own, thresholds, side="left")
    false_calls = len(others) - np.searchsorted(others, thresholds, side="left")
    return RocTable(
        label=label,
        thresholds=tuple(float(value) for value in thresholds),
        hits=tuple(int(value) for value in hits),
        false_calls=tuple(int(value) for value in false_calls),
        positives=len(own),
        negatives=len(others),
    )


def wilson(hits: int, total: int) -> Interval:
    """The 95 % interval of a share (Wilson 1927); (0, 1) when nothing was counted."""
    if total == 0:
        return 0.0, 1.0
    share, weight = hits / total, Z * Z / total
    centre = (share + weight / 2.0) / (1.0 + weight)
    spread = Z / (1.0 + weight) * math.sqrt(share * (1.0 - share) / total + weight / total / 4.0)
    # at 0 and at 1 rounding could leave the share itself outside
    return min(share, max(0.0, centre - spread)), max(share, min(1.0, centre + spread))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
