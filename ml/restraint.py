"""What a head had better not count on, as matrices that make doing so costly.

A ridge holds every weight of a head back alike. These hold back where it is known that something
else than the lungs speaks. With ``D`` the mean of ``d dᵀ`` over unwanted differences ``d`` of the
means, the penalty ``wᵀ D w / 2`` is half the mean squared change that these differences make to a
logit: the loss stays convex and has one best head.

- **Between sources**: how the mean picture of a class differs from one collection to another. A
  class looks the same everywhere as far as the disease goes; matching such means is the simplest of
  the ways to learn what holds in several places (Muandet et al. 2013, "Domain generalization via
  invariant feature representation").
- **With the surroundings**: how a picture changes when what surrounds its lungs is another
  patient's, or grey. To first order that is what learning from such pictures would do (Simard et
  al. 1991, "Tangent Prop"), without looking at each of them many times.

What both do on sources that were left out is in docs/decisions.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml.data import Row
from ml.means import Exchanged, Means
from ml.metrics import Array

FEWEST: Final = 20
"""Pictures of a class that a source needs to have a mean worth comparing."""


def between_sources(means: npt.NDArray[Any], rows: Sequence[Row]) -> Array:
    """How class means differ between sources, on average over classes, pairs and looks.

    :param means: (n, looks, FEATURES) of the rows.
    :returns: (FEATURES, FEATURES); all nought where no class has two sources with ``FEWEST``.
    """
    cells: dict[str, dict[str, list[int]]] = {}
    for place, row in enumerate(rows):
        cells.setdefault(row.label, {}).setdefault(row.source, []).append(place)
    total = np.zeros((means.shape[2], means.shape[2]))
    count = 0
    for _, sources in sorted(cells.items()):
        centres = [
            means[places].mean(axis=0, dtype=np.float64)
            for _, places in sorted(sources.items())
            if len(places) >= FEWEST
        ]
        for one, other in itertools.combinations(centres, 2):
            total += (one - other).T @ (one - other) / means.shape[1]
            count += 1
    return total / max(1, count)


def with_surroundings(means: Means, rows: Sequence[Row], exchanged: Exchanged) -> Array:
    """How the means of a picture change with its surroundings, on average over pictures and looks.

    Only pictures count that are among the rows together with the one that lent its surroundings,
    so that nothing of a source that was left out comes in.

    :param means: (n, looks, FEATURES) of the rows, the exchanged looks' first.
    :returns: (FEATURES, FEATURES); all nought where no picture counts.
    """
    means = means[:, : exchanged.means.shape[1]]
    places = {row.name: place for place, row in enumerate(rows)}
    chosen = exchanged.among(set(places))
    known = means[[places[exchanged.names[one]] for one in chosen]]
    change = (exchanged.means[chosen] - known).reshape(-1, means.shape[2])
    return (change.T @ change).astype(np.float64) / max(1, len(change))
