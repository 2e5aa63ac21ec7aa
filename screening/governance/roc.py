"""ROC curve, its area with an interval, and what each threshold gives, on a site's own cases.

Plain numpy, no Django. Everywhere a case is called when its score is at or above the threshold, as
operating points are (``ml.operating``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.operating import Interval, Z, wilson

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """What was counted: a score and the truth for each, and who belongs together.

    ``scores`` (n,) in [0, 1], ``positive`` (n,), ``groups`` (n,) with one number a patient.
    """

    scores: Floats
    positive: Bools
    groups: Ints

    def __post_init__(self) -> None:
        if not len(self.scores) == len(self.positive) == len(self.groups):
            raise ValueError("scores, truth and groups differ in length")

    @property
    def positives(self) -> int:
        return int(self.positive.sum())

    @property
    def negatives(self) -> int:
        return len(self.positive) - self.positives

    def part(self, chosen: Bools) -> Cases:
        """Those of the cases for which ``chosen`` (n,) is true."""
        return Cases(self.scores[chosen], self.positive[chosen], self.groups[chosen])


@dataclass(frozen=True, slots=True)
class Figures:
    """What a threshold is worth, each with its 95 % interval; None where nothing was counted."""

    sensitivity: float | None
    sensitivity_ci: Interval | None
    specificity: float | None
    specificity_ci: Interval | None
    ppv: float | None
    ppv_ci: Interval | None
    npv: float | None
    npv_ci: Interval | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Called or not against the truth: the four cells, and the shares made of them."""

    hits: int
    misses: int
    false_calls: int
    rejected: int

    @property
    def sensitivity(self) -> float | None:
        return _share(self.hits, self.hits + self.misses)

    @property
    def specificity(self) -> float | None:
        return _share(self.rejected, self.rejected + self.false_calls)

    @property
    def ppv(self) -> float | None:
        return _share(self.hits, self.hits + self.false_calls)

    @property
    def npv(self) -> float | None:
        return _share(self.rejected, self.rejected + self.misses)

    @property
    def called(self) -> int:
        return self.hits + self.false_calls

    @property
    def positives(self) -> int:
        return self.hits + self.misses

    @property
    def negatives(self) -> int:
        return self.rejected + self.false_calls

    def figures(self, prevalence: float | None = None) -> Figures:
        """The shares with Wilson's intervals.

        Predictive values are those of the cases themselves, or of people among whom ``prevalence``
        have it.
        """
        ppv, ppv_ci = self.ppv, _interval(self.hits, self.called)
        npv, npv_ci = self.npv, _interval(self.rejected, self.rejected + self.misses)
        sensitivity, specificity = self.sensitivity, self.specificity
        if prevalence is not None and sensitivity is not None and specificity is not None:
            sides = (self.positives, self.negatives)
            ppv, ppv_ci = ppv_at(sensitivity, specificity, *sides, prevalence)
            npv, npv_ci = npv_at(sensitivity, specificity, *sides, prevalence)
        return Figures(
            sensitivity=sensitivity,
            sensitivity_ci=_interval(self.hits, self.positives),
            specificity=specificity,
            specificity_ci=_interval(self.rejected, self.negatives),
            ppv=ppv,
            ppv_ci=ppv_ci,
            npv=npv,
            npv_ci=npv_ci,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The counts at every score that occurs, from the highest down.

    ``hits`` and ``false_calls`` (k,) are cases at or above ``thresholds`` (k,).
    """

    thresholds: Floats
    hits: Ints
    false_calls: Ints
    positives: int
    negatives: int

    def counts(self, number: int) -> Counts:
        """At the threshold of this number."""
        hits, false_calls = int(self.hits[number]), int(self.false_calls[number])
        return Counts(hits, self.positives - hits, false_calls, self.negatives - false_calls)

    def points(self) -> list[tuple[float, float]]:
        """(1 − specificity, sensitivity), from (0, 0) to (1, 1)."""
        x = np.append(0.0, self.false_calls / max(self.negatives, 1))
        y = np.append(0.0, self.hits / max(self.positives, 1))
        return list(zip(x.tolist(), y.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Area:
    """The area under the curve and its 95 % interval."""

    value: float
    interval: Interval


def curve_of(cases: Cases) -> Curve:
    """The curve of some cases.

    :raises ValueError: when one of the two sides is empty.
    """
    _need_both(cases)
    own = np.sort(cases.scores[cases.positive])
    others = np.sort(cases.scores[~cases.positive])
    thresholds = np.unique(cases.scores)[::-1]
    return Curve(
        thresholds=thresholds,
        hits=len(own) - np.searchsorted(own, thresholds, side="left"),
        false_calls=len(others) - np.searchsorted(others, thresholds, side="left"),
        positives=len(own),
        negatives=len(others),
    )


def counts_at(cases: Cases, threshold: float) -> Counts:
    """What a threshold gives."""
    called = cases.scores >= threshold
    return Counts(
        hits=int((called & cases.positive).sum()),
        misses=int((~called & cases.positive).sum()),
        false_calls=int((called & ~cases.positive).sum()),
        rejected=int((~called & ~cases.positive).sum()),
    )


def ppv_at(
    sensitivity: float, specificity: float, positives: int, negatives: int, prevalence: float
) -> tuple[float | None, Interval | None]:
    """The PPV at another prevalence than that of the counted cases, by Bayes, and its interval.

    The interval is the logit one of Mercaldo, Lau & Zhou 2007, which takes the prevalence for
    known, with half a case added to each cell: of 4000 simulated studies of 60 and 80 cases 95 %
    held the true value, with their own adjustment 91 %. None where nothing is called.
    """
    called = sensitivity * prevalence + (1.0 - specificity) * (1.0 - prevalence)
    if called <= 0.0:
        return None, None
    value = sensitivity * prevalence / called
    found, kept = _half_added(sensitivity, positives), _half_added(specificity, negatives)
    centre = math.log(found * prevalence / ((1.0 - kept) * (1.0 - prevalence)))
    spread = Z * math.sqrt(
        (1.0 - found) / (found * (positives + 1)) + kept / ((1.0 - kept) * (negatives + 1))
    )
    return value, _around(value, _expit(centre - spread), _expit(centre + spread))


def npv_at(
    sensitivity: float, specificity: float, positives: int, negatives: int, prevalence: float
) -> tuple[float | None, Interval | None]:
    """The NPV at another prevalence: the PPV of not being called, of having it not."""
    return ppv_at(specificity, sensitivity, negatives, positives, 1.0 - prevalence)


def auc_variance(scores: Floats, positive: Bools) -> tuple[float, float]:
    """The area and its variance by DeLong, DeLong & Clarke-Pearson 1988; ties count half.

    The placements are found by midranks (Sun & Xu 2014), so that it takes n log n.

    :raises ValueError: with fewer than one case on either side. With a single one the variance
        within that side is unknown and counts as zero.
    """
    own, others = scores[positive], scores[~positive]
    if len(own) == 0 or len(others) == 0:
        raise ValueError("an area needs positive and negative cases")
    within_own, within_others = _midranks(own), _midranks(others)
    among_all = _midranks(np.concatenate([own, others]))
    # of each positive: the share of negatives below it, and of each negative the other way round
    v10 = (among_all[: len(own)] - within_own) / len(others)
    v01 = 1.0 - (among_all[len(own) :] - within_others) / len(own)
    variance = _variance(v10) / len(own) + _variance(v01) / len(others)
    return float(v10.mean()), variance


def area_of(cases: Cases) -> Area:
    """The area with a 95 % interval, DeLong's on the logit scale so that it stays within (0, 1).

    Where the sides are wholly apart the variance is zero and says nothing; the interval then is
    Wilson's of so many correct pairs as the smaller side has cases, which is wide on purpose.
    """
    value, variance = auc_variance(cases.scores, cases.positive)
    fewest = min(cases.positives, cases.negatives)
    if variance <= 0.0 or value in (0.0, 1.0):
        return Area(value, wilson(round(value * fewest), fewest))
    centre = math.log(value / (1.0 - value))
    spread = Z * math.sqrt(variance) / (value * (1.0 - value))
    return Area(value, (_expit(centre - spread), _expit(centre + spread)))


def _expit(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(value, -700.0), 700.0)))  # beyond, exp overflows


def _half_added(share: float, total: int) -> float:
    """A share with half a case added on each side, so that its logit is finite (Haldane 1956)."""
    return (share * total + 0.5) / (total + 1)


def _around(value: float, low: float, high: float) -> Interval:
    return min(value, low), max(value, high)


def _midranks(values: Floats) -> Floats:
    """Ranks from 1, those of equal values averaged."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts).astype(np.float64)
    ranks: Floats = (last - (counts - 1) / 2.0)[inverse]
    return ranks


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _need_both(cases: Cases) -> None:
    if cases.positives == 0 or cases.negatives == 0:
        raise ValueError("a curve needs positive and negative cases")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _interval(part: int, whole: int) -> Interval | None:
    return wilson(part, whole) if whole else None
