"""How far a week lies from a reference period: the population stability index.

PSI = Σ (p − q) · ln(p / q) over the bins of a histogram. Even without any drift, chance alone
brings about (bins − 1) · (1/n + 1/m) for samples of n and m; that much is taken off, so that a
quiet week of a small site raises no alarm. 0.1 is commonly called a small change, 0.2 one to act on
(Siddiqi, Credit Risk Scorecards, 2006; bias: Yurdakul, 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LIMIT = 0.2
LEAST = 75
"""Fewer values than this, in a week or in the reference, say nothing."""


def stability_index(reference: Sequence[int], week: Sequence[int]) -> float | None:
    """PSI of two histograms with the same bins, less what chance brings; never below 0.

    ``None`` where either has fewer than ``LEAST`` values. An empty bin counts as half a value.
    """
    n, m = sum(reference), sum(week)
    if n < LEAST or m < LEAST:
        return None
    used = [(a, b) for a, b in zip(reference, week, strict=True) if a or b]
    if len(used) < 2:
        return 0.0
    smooth_n, smooth_m = n + 0.5 * len(used), m + 0.5 * len(used)
    index = 0.0
    for a, b in used:
        q, p = (a + 0.5) / smooth_n, (b + 0.5) / smooth_m
        index += (p - q) * math.log(p / q)
    return max(index - (len(used) - 1) * (1 / n + 1 / m), 0.0)
