"""The figures of readers as lines of a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from screening.accounts.models import User
from screening.governance.shares import Share
from screening.reading.accuracy import Comparison, Scope, figures_for

HEADING = (
    "whose",
    "readings",
    "target",
    "arm",
    "with the condition",
    "without",
    "sensitivity",
    "sensitivity 95% low",
    "sensitivity 95% high",
    "specificity",
    "specificity 95% low",
    "specificity 95% high",
    "right before and after",
    "changed to right",
    "changed to wrong",
    "wrong before and after",
    "McNemar exact p",
    "too few to say much",
)


def figure_rows(user: User, scope: Scope) -> Iterator[list[Any]]:
    """One line for each set of readings, target and arm."""
    blind, everything = figures_for(user, scope)
    for name, figures in (("read blind first", blind), ("all signed", everything)):
        for comparison in figures.compared:
            for row in _lines(comparison):
                yield [scope.name, name, *row]


def _lines(comparison: Comparison) -> Iterator[list[Any]]:
    minds = comparison.minds
    for arm in comparison.arms:
        # How the AI changed minds is said of the pair human alone → human with AI.
        told = minds if arm.key == "both" else None
        yield [
            str(comparison.target.name),
            str(arm.name),
            comparison.positives,
            comparison.negatives,
            *_cells(arm.sensitivity),
            *_cells(arm.specificity),
            *(
                [told.both_right, told.better, told.worse, told.both_wrong, round(told.p, 6)]
                if told
                else [""] * 5
            ),
            "yes" if comparison.is_thin else "no",
        ]


def _cells(share: Share) -> list[Any]:
    if share.value is None:
        return ["", "", ""]
    return [round(share.value, 4), round(share.low, 4), round(share.high, 4)]
