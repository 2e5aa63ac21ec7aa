"""Proposing a threshold from a site's own cases, and saying what to expect of it elsewhere.

A threshold that was chosen on some cases looks better on these than on the next ones. By how much
is learned from the cases themselves (Efron's bootstrap, as Harrell uses it): patients are drawn
anew with replacement, the rule chooses a threshold on the draw, and what it gives on the draw is
compared with what it gives on all cases. The mean difference is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from ml.operating import Interval, wilson
from screening.governance.roc import (
    Cases,
    Counts,
    Curve,
    Figures,
    Floats,
    Ints,
    counts_at,
    curve_of,
    npv_at,
    ppv_at,
)

FEWEST: Final = 30
"""Of each side. With fewer no threshold is proposed: were 27 of 30 found, the sensitivity could
be anything from 74 to 97 %."""
ENOUGH: Final = 100
"""Of each side; what Collins et al. (2016) ask of a validation. Below, the page warns."""
DRAWS: Final = 200
DRAWS_OF_MANY: Final = 50
MANY: Final = 5000
"""With so many cases hardly anything is to be taken off, and draws take long."""
SEED: Final = 20261121
_SHARES: Final = ("sensitivity", "specificity", "ppv", "npv")


class Goal(StrEnum):
    """What a threshold is to reach."""

    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    PPV = "ppv"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A threshold, what it gives on the counted cases, and what to expect of it on the next ones.

    ``counts`` and ``apparent`` are of the very cases it was chosen on. ``unstable`` is the share of
    draws on which the rule found no threshold at all.
    """

    goal: Goal
    wanted: float
    threshold: float
    counts: Counts
    apparent: Figures
    expected: Figures
    unstable: float

    @property
    def expected_value(self) -> float | None:
        """Of the aim itself."""
        return value_of(self.expected, self.goal)

    @property
    def probably_misses(self) -> bool:
        """Whether the aim will rather not be kept on the next cases."""
        value = self.expected_value
        return value is None or value < self.wanted


def enough_to_propose(cases: Cases) -> bool:
    """Whether there are cases enough on both sides."""
    return min(cases.positives, cases.negatives) >= FEWEST


def propose(
    cases: Cases, goal: Goal, wanted: float, prevalence: float | None = None
) -> Proposal | None:
    """A threshold that reaches ``wanted`` on the cases; None where no threshold does.

    Predictive values are those at ``prevalence``, where it is given, else those of the cases.

    :raises ValueError: with fewer than ``FEWEST`` cases of a side, or for an aim outside (0, 1).
    """
    if not enough_to_propose(cases):
        raise ValueError("too few cases to propose a threshold")
    if not 0.0 < wanted < 1.0:
        raise ValueError("the aim must lie between 0 and 1")
    threshold = choose_threshold(curve_of(cases), goal, wanted, prevalence)
    if threshold is None:
        return None
    counts = counts_at(cases, threshold)
    optimism, unstable = _optimism(cases, goal, wanted, prevalence)
    return Proposal(
        goal=goal,
        wanted=wanted,
        threshold=threshold,
        counts=counts,
        apparent=counts.figures(prevalence),
        expected=_corrected(counts, optimism, prevalence),
        unstable=unstable,
    )


def choose_threshold(
    curve: Curve, goal: Goal, wanted: float, prevalence: float | None = None
) -> float | None:
    """The threshold that reaches the aim at least cost; None where none does.

    For a sensitivity the highest, for a specificity the lowest, for a PPV the one that finds most.
    It is laid in the middle between the last score that is called and the next that is not, and
    rounded as far as that changes no call.
    """
    tolerance = 1e-12
    if goal == Goal.SENSITIVITY:
        # the lowest score calls all, so there is one
        reaching = np.flatnonzero(curve.hits / curve.positives >= wanted - tolerance)[:1]
    else:
        reached = (
            1.0 - curve.false_calls / curve.negatives
            if goal == Goal.SPECIFICITY
            else _ppv_along(curve, prevalence)
        )
        # hits never shrink towards lower scores, so the last finds most
        reaching = np.flatnonzero((reached >= wanted - tolerance) & (curve.hits > 0))[::-1]
    for number in reaching.tolist():
        lowest = len(curve.thresholds) == number + 1
        below = 0.0 if lowest else float(curve.thresholds[number + 1])
        threshold = _between(below, float(curve.thresholds[number]))
        if threshold is not None:
            return threshold
    return None


def value_of(figures: Figures | Counts, goal: Goal) -> float | None:
    """The share that an aim speaks of."""
    if goal == Goal.SENSITIVITY:
        return figures.sensitivity
    return figures.specificity if goal == Goal.SPECIFICITY else figures.ppv


def _ppv_along(curve: Curve, prevalence: float | None) -> Floats:
    """The PPV at every threshold of the curve; something is called at each of them."""
    own, others = curve.hits.astype(np.float64), curve.false_calls.astype(np.float64)
    if prevalence is not None:
        own = own / curve.positives * prevalence
        others = others / curve.negatives * (1.0 - prevalence)
    ppv: Floats = own / (own + others)
    return ppv


def _between(below: float, above: float) -> float | None:
    """A short number in (below, above], near the middle; None where none lies inside (0, 1)."""
    middle = (below + above) / 2.0
    for digits in range(2, 16):
        short = round(middle, digits)
        if below < short <= above and 0.0 < short < 1.0:
            return short
    return above if 0.0 < above < 1.0 else None


def _corrected(
    counts: Counts, optimism: dict[str, float | None], prevalence: float | None
) -> Figures:
    """What was counted, less what it is too good by; intervals are Wilson's about that."""

    def less(value: float | None, too_good: float | None) -> float | None:
        if value is None or too_good is None:
            return None
        return min(max(value - too_good, 0.0), 1.0)

    def about(value: float | None, total: int) -> Interval | None:
        # a share of a whole number; that it need not be whole does no harm to the formula
        return wilson(value * total, total) if value is not None and total else None  # type: ignore[arg-type]

    seen = counts.figures(prevalence)
    sensitivity = less(seen.sensitivity, optimism["sensitivity"])
    specificity = less(seen.specificity, optimism["specificity"])
    ppv, npv = less(seen.ppv, optimism["ppv"]), less(seen.npv, optimism["npv"])
    ppv_ci = about(ppv, counts.called)
    npv_ci = about(npv, counts.rejected + counts.misses)
    if prevalence is not None and sensitivity is not None and specificity is not None:
        sides = (counts.positives, counts.negatives)
        ppv, ppv_ci = ppv_at(sensitivity, specificity, *sides, prevalence)
        npv, npv_ci = npv_at(sensitivity, specificity, *sides, prevalence)
    return Figures(
        sensitivity=sensitivity,
        sensitivity_ci=about(sensitivity, counts.positives),
        specificity=specificity,
        specificity_ci=about(specificity, counts.negatives),
        ppv=ppv,
        ppv_ci=ppv_ci,
        npv=npv,
        npv_ci=npv_ci,
    )


def _optimism(
    cases: Cases, goal: Goal, wanted: float, prevalence: float | None
) -> tuple[dict[str, float | None], float]:
    """By how much the shares are too good, on average; and how often the rule found nothing.

    The same cases give the same figures.
    """
    rng = np.random.default_rng(SEED)
    draws = DRAWS if len(cases.scores) <= MANY else DRAWS_OF_MANY
    differences: dict[str, list[float]] = {name: [] for name in _SHARES}
    nothing = 0
    drawing = _Drawing(cases)
    for _ in range(draws):
        drawn = drawing.draw(rng)
        threshold = None
        if drawn.positives and drawn.negatives:
            threshold = choose_threshold(curve_of(drawn), goal, wanted, prevalence)
        if threshold is None:
            nothing += 1
            continue
        on_draw = counts_at(drawn, threshold)
        on_all = counts_at(cases, threshold)
        for name, kept in differences.items():
            there, here = getattr(on_draw, name), getattr(on_all, name)
            if there is not None and here is not None:
                kept.append(there - here)
    mean = {name: float(np.mean(kept)) if kept else None for name, kept in differences.items()}
    return mean, nothing / draws


class _Drawing:
    """Patients drawn with replacement, each with all their cases."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases
        self._order: Ints = np.argsort(cases.groups, kind="stable")
        _patients, counts = np.unique(cases.groups, return_counts=True)
        self._counts: Ints = counts
        self._starts: Ints = np.cumsum(counts) - counts

    def draw(self, rng: np.random.Generator) -> Cases:
        drawn = rng.integers(len(self._counts), size=len(self._counts))
        lengths = self._counts[drawn]
        ends = np.cumsum(lengths)
        # the place within each patient's run of cases, for all patients at once
        within = np.arange(int(ends[-1])) - np.repeat(ends - lengths, lengths)
        rows = self._order[np.repeat(self._starts[drawn], lengths) + within]
        return Cases(self._cases.scores[rows], self._cases.positive[rows], self._cases.groups[rows])
