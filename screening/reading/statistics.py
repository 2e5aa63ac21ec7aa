"""The little statistics that judging readings needs beside shares; exact, for counts are small."""

from __future__ import annotations


def mcnemar_exact(better: int, worse: int) -> float:
    """How likely changes at least as lopsided are when neither direction is favoured.

    Two-sided, from the binomial distribution of the discordant pairs (McNemar 1947, exact form);
    1 where nothing changed.
    """
    changed = better + worse
    # Integers until the end: 2**1100 would overflow a float. Each term follows from the last.
    term = tail = 1
    for k in range(min(better, worse)):
        term = term * (changed - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << changed))
