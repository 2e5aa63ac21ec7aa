"""How many answers were marked as less than certain, and whether the films are still of a kind
that the model knows."""

from __future__ import annotations

from django.utils.translation import gettext as _

from screening.insight import charts
from screening.insight.charts import Series
from screening.insight.counting import ANSWERS, Counts
from screening.insight.drift import LEAST
from screening.insight.figure import (
    Alert,
    Column,
    Figure,
    Material,
    axis_of,
    latest,
    line_key,
    when,
    written,
)

LIMIT = 0.05
"""Share of unfamiliar films from which somebody should look. A release is made so that one in a
hundred of the films it was chosen on is unfamiliar; four of 75 such films are by chance in 0.7 % of
weeks."""


def doubts(material: Material) -> Figure:
    title = _("Answers with a doubt")
    names = {
        "uncertain": _("Uncertain: several answers fit, or none"),
        "unreliable": _("Unreliable: the answer stays without the lungs"),
        "unfamiliar": _("Unfamiliar: unlike the films learnt from"),
    }
    styles = ("series-accent", "series-warn", "series-bad")
    weeks = [counts for _bucket, counts in material.weeks]
    # how familiar a film is tells nothing of its answer
    seen = {name: weeks if name == "unfamiliar" else material.told for name in names}
    series = [
        Series(words, css, [_share(counts, name) for counts in seen[name]])
        for (name, words), css in zip(names.items(), styles, strict=True)
    ]
    words = _("%(uncertain)s uncertain, %(unreliable)s unreliable, %(unfamiliar)s unfamiliar.") % {
        name: written(_share(Counts.total(counts), name), "share") for name, counts in seen.items()
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
    shares = [
        _share(counts, "unfamiliar") if counts.doubts[ANSWERS] >= LEAST else None
        for _bucket, counts in material.weeks
    ]
    newest = latest(material.weeks, shares)
    if newest is None or newest[1] <= LIMIT:
        return None
    return _(
        "Many films are unlike those that the model learnt from "
        "(week of %(week)s: %(share)s, limit %(limit)s)."
    ) % {
        "week": written(newest[0], "day"),
        "share": written(newest[1], "share"),
        "limit": written(LIMIT, "share"),
    }
