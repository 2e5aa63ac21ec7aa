"""Prediction sets with a stated coverage: which classes can't be ruled out for this picture.

Split conformal prediction, one threshold a class (label-conditional LAC; Sadinle, Lei & Wasserman
2019, "Least ambiguous set-valued classifiers with bounded error levels"). Among pictures drawn like
those it was fitted on, the true class is in the set for at least the stated share *of each class*.
No such promise holds for another hospital's pictures, nor within one source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml import CLASSES

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

COVERAGE: Final = 0.90


@dataclass(frozen=True, slots=True)
class Conformal:
    """A class belongs to the set when its calibrated probability reaches its threshold."""

    coverage: float
    thresholds: tuple[float, ...]
    """In the order of ``ml.CLASSES``; 0 where too few pictures were seen to rule anything out."""
    counts: tuple[int, ...]
    """Pictures of each class that the threshold rests on."""

    def contains(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which classes are in the set, (..., 3), for probabilities (..., 3)."""
        inside: npt.NDArray[np.bool_] = np.asarray(probabilities) >= np.array(self.thresholds)
        return inside

    def prediction_set(self, probabilities: Mapping[str, float]) -> tuple[str, ...]:
        """The classes that can't be ruled out, likeliest first.

        May be empty: then the picture is less like every class than nearly all pictures of it.

        :param probabilities: by class, as in ``ml.predict.Prediction``.
        """
        inside = self.contains([probabilities[label] for label in CLASSES])
        labels = [label for label, kept in zip(CLASSES, inside, strict=True) if kept]
        return tuple(sorted(labels, key=lambda label: -probabilities[label]))

    def uncertain(self, probabilities: Mapping[str, float]) -> bool:
        """Whether the evidence fits more than one class, or none."""
        return len(self.prediction_set(probabilities)) != 1

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which ``from_json`` makes the same again."""
        return {
            "coverage": self.coverage,
            "thresholds": dict(zip(CLASSES, self.thresholds, strict=True)),
            "counts": dict(zip(CLASSES, self.counts, strict=True)),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Conformal:
        """:raises KeyError, TypeError, ValueError: when the content is not of ``to_json``."""
        coverage = float(content["coverage"])
        thresholds = tuple(float(content["thresholds"][label]) for label in CLASSES)
        if not 0.0 < coverage < 1.0 or not all(0.0 <= value <= 1.0 for value in thresholds):
            raise ValueError("a coverage or threshold is out of range")
        return cls(coverage, thresholds, tuple(int(content["counts"][label]) for label in CLASSES))


def fit_conformal(
    probabilities: npt.ArrayLike, labels: Labels, coverage: float = COVERAGE
) -> Conformal:
    """Find the thresholds.

    Of n pictures of a class, the ⌈(n + 1) · coverage⌉-th highest probability of their own class is
    its threshold: a further picture reaches it with at least that chance.

    :param probabilities: (n, 3) calibrated, of pictures that no weight was fitted to.
    :param labels: (n,) class numbers.
    :raises ValueError: for a coverage outside (0, 1).
    """
    if not 0.0 < coverage < 1.0:
        raise ValueError("the coverage must lie between 0 and 1")
    given = np.asarray(probabilities, dtype=np.float64)
    thresholds, counts = [], []
    for number in range(len(CLASSES)):
        own = np.sort(given[labels == number, number])[::-1]
        # the small step back keeps 10 × 0.9 from becoming 9.000000000000002
        rank = math.ceil((len(own) + 1) * coverage - 1e-9)
        thresholds.append(float(own[rank - 1]) if rank <= len(own) else 0.0)
        counts.append(len(own))
    return Conformal(coverage, tuple(thresholds), tuple(counts))


def measure_conformal(
    conformal: Conformal, probabilities: npt.ArrayLike, labels: Labels
) -> dict[str, Any]:
    """How the sets do on labelled pictures: coverage in all and by class, how many answers are
    certain, and how often those are right. None where there is nothing to count.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    inside = conformal.contains(given)
    held = inside[np.arange(len(labels)), labels]
    sizes = inside.sum(axis=1)
    certain = sizes == 1
    return {
        "n": len(labels),
        "coverage": _share(held),
        "coverage_by_class": {
            label: _share(held[labels == number]) for number, label in enumerate(CLASSES)
        },
        "certain": _share(certain),
        "empty": _share(sizes == 0),
        "several": _share(sizes > 1),
        "accuracy_of_certain": _share(held[certain]),
        "accuracy_of_uncertain": _share((given.argmax(axis=1) == labels)[~certain]),
    }


def _share(flags: npt.NDArray[np.bool_]) -> float | None:
    return round(float(flags.mean()), 4) if len(flags) else None
