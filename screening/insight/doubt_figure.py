"""How many answers were marked as less than certain, and whether the films are still of a kind
that the model knows."""

from __future__ import annotations

from django.utils.translation import gettext as _

from screening.insight import charts
from screening.insight.charts import Series
from screening.insight.counting import Counts
from screening.insight.drift import LEAST
from screening.insight.figure import (
    FEWEST,
    Alert,
    Column,
    Figure,
    Material,
    axis_of,
    line_key,
    when,
    written,
)

LIMIT = 0.05
"""Share of unfamiliar films from which somebody should look. A release is made so that one in a
hundred of the films it was chosen on is unfamiliar; four of 75 such films are by chance in 0.7 % of
weeks."""
ANSWERS = "answers"
"""Answers that say how far they can be trusted."""


def doubts(material: Material) -> Figure:
    title = _("Answers with a doubt")
    names = {
        "uncertain": _("Uncertain: several answers fit, or none"),
        "unreliable": _("Unreliable: the answer stays without the lungs"),
        "unfamiliar": _("Unfamiliar: unlike the films learnt from"),
    }
    styles = ("series-accent", "series-warn", "series-bad")
    # What is shown of few answers would tell them; of films it says nothing.
    shown = [
        (
            counts,
            counts if material.may_tell or counts.results >= FEWEST else Counts(),
        )
        for _b, counts in material.weeks
    ]
    series = [
        Series(
            words,
            css,
            [_share(counts if name == "unfamiliar" else told, name) for counts, told in shown],
        )
        for (name, words), css in zip(names.items(), styles, strict=True)
    ]
    whole = Counts.total(counts for counts, _told in shown)
    told = Counts.total(told for _counts, told in shown)
    words = _("%(uncertain)s uncertain, %(unreliable)s unreliable, %(unfamiliar)s unfamiliar.") % {
        "uncertain": written(_share(told, "uncertain"), "share"),
        "unreliable": written(_share(told, "unreliable"), "share"),
        "unfamiliar": written(_share(whole, "unfamiliar"), "share"),
    }
    if (alarm := _alarm(material)) is not None:
        material.alerts.append(Alert(alarm, "doubts"))
        words = f"{words} {alarm}"
    return Figure(
        key="doubts",
        title=title,
        words=words,
        picture=charts.lines(
            "doubts", title, words, axis_of(material.weeks), series, unit="%", limit=LIMIT
        ),
        legend=line_key(series),
        columns=[
            when(False),
            Column("answers", _("Answers")),
            *(Column(name, one.name, "share") for name, one in zip(names, series, strict=True)),
        ],
        rows=[
            (bucket.first, counts.doubts[ANSWERS], *(one.values[n] for one in series))
            for n, (bucket, counts) in enumerate(material.weeks)
        ],
        note=_(
            "About one film in a hundred is unfamiliar where films are as those that the model was "
            "made with. With more than %(limit)s somebody should look: other machines, another "
            "export, other patients?"
        )
        % {"limit": written(LIMIT, "share")},
    )


def _share(counts: Counts, doubt: str) -> float | None:
    answers = counts.doubts[ANSWERS]
    return counts.doubts[doubt] / answers if answers else None


def _alarm(material: Material) -> str | None:
    """A sentence about the newest week with enough answers, if too many of its films are
    unfamiliar."""
    for bucket, counts in reversed(material.weeks):
        if counts.doubts[ANSWERS] < LEAST:
            continue
        share = _share(counts, "unfamiliar")
        if share is None or share <= LIMIT:
            return None
        return _(
            "Many films are unlike those that the model learnt from "
            "(week of %(week)s: %(share)s, limit %(limit)s)."
        ) % {
            "week": written(bucket.first, "day"),
            "share": written(share, "share"),
            "limit": written(LIMIT, "share"),
        }
    return None
