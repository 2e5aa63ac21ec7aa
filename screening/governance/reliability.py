"""Whether probabilities mean at a site what they say: reliability bins, ECE and Brier score.

Plain numpy, no Django.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ml.operating import Interval, wilson
from screening.governance.roc import Cases

BINS: Final = 10
"""Of equal width; with fewer cases than a model's evaluation has, fewer bins say more."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Cases whose probability lies in one tenth of the scale."""

    low: float
    high: float
    cases: int
    positives: int
    predicted: float
    """Mean probability."""

    @property
    def observed(self) -> float:
        return self.positives / self.cases

    @property
    def observed_ci(self) -> Interval:
        return wilson(self.positives, self.cases)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Filled bins, the expected calibration error and the Brier score.

    ``brier_of_prevalence`` is the score of whoever gives every case the prevalence: a model whose
    probabilities mean anything lies below it.
    """

    bins: tuple[Bin, ...]
    ece: float
    brier: float
    brier_of_prevalence: float


def reliability_of(cases: Cases) -> Reliability:
    """How the probabilities of some cases (one at least) agree with what became of them."""
    numbers = np.minimum((cases.scores * BINS).astype(int), BINS - 1)
    bins = []
    for number in sorted(set(numbers.tolist())):
        inside = numbers == number
        bins.append(
            Bin(
                low=number / BINS,
                high=(number + 1) / BINS,
                cases=int(inside.sum()),
                positives=int(cases.positive[inside].sum()),
                predicted=float(cases.scores[inside].mean()),
            )
        )
    total = len(cases.scores)
    prevalence = cases.positives / total
    return Reliability(
        bins=tuple(bins),
        ece=sum(one.cases * abs(one.observed - one.predicted) for one in bins) / total,
        brier=float(np.mean((cases.scores - cases.positive) ** 2)),
        brier_of_prevalence=prevalence * (1.0 - prevalence),
    )
