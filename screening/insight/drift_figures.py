"""The figures that show whether answers or images move away from how they began."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from screening.inference.models import Label
from screening.insight import charts, drift
from screening.insight.charts import Series
from screening.insight.counting import EDGES, SHARE_EDGES, Counts
from screening.insight.figure import (
    CLASSES,
    LOOKS,
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


def answer_drift(material: Material) -> Figure:
    bins = len(SHARE_EDGES) + 1

    def index(counts: Counts, label: Label) -> float | None:
        return drift.stability_index(
            material.reference.histogram("shares", label.value, bins),
            counts.histogram("shares", label.value, bins),
        )

    series = [
        Series(str(label.label), css, [index(counts, label) for counts in material.told])
        for label, css in CLASSES
    ]
    return _drift_figure(
        material,
        series,
        names=[label.value for label, _css in CLASSES],
        key="answer-drift",
        title=_("Drift of the probabilities"),
        alarm=_lazy(
            "The probabilities of %(what)s have moved away from the reference "
            "(week of %(week)s: %(index)s, limit %(limit)s)."
        ),
    )


def image_drift(material: Material) -> Figure:
    def index(counts: Counts, name: str) -> float | None:
        if name == "format":
            kinds = sorted({*material.reference.formats, *counts.formats})
            return drift.stability_index(
                [material.reference.formats[kind] for kind in kinds],
                [counts.formats[kind] for kind in kinds],
            )
        bins = len(EDGES[name]) + 1
        return drift.stability_index(
            material.reference.histogram("looks", name, bins), counts.histogram("looks", name, bins)
        )

    styles = ("series-accent", "series-warn", "series-note", "series-bad", "series-good")
    series = [
        Series(str(title), css, [index(counts, name) for _b, counts in material.weeks])
        for (name, title), css in zip(LOOKS.items(), styles, strict=True)
    ]
    return _drift_figure(
        material,
        series,
        names=list(LOOKS),
        key="image-drift",
        title=_("Drift of the images"),
        alarm=_lazy(
            "The images have changed in %(what)s (week of %(week)s: %(index)s, limit %(limit)s)."
        ),
    )


def _drift_figure(
    material: Material,
    series: list[Series],
    *,
    names: list[str],
    key: str,
    title: str,
    alarm: Any,
) -> Figure:
    alerts = []
    for one in series:
        newest = latest(material.weeks, one.values)
        if newest is not None and newest[1] > drift.LIMIT:
            alerts.append(
                alarm
                % {
                    "what": one.name,
                    "week": written(newest[0], "day"),
                    "index": written(newest[1], "index"),
                    "limit": written(drift.LIMIT, "index"),
                }
            )
    material.alerts.extend(Alert(sentence, key) for sentence in alerts)
    enough = any(value is not None for one in series for value in one.values)
    if not enough:
        words = _("Too few images yet: a week and the reference need %(n)s each.") % {
            "n": drift.LEAST
        }
    elif alerts:
        words = " ".join(alerts)
    else:
        words = _(
            "No week is further from the reference than the limit of %(limit)s at present."
        ) % {"limit": written(drift.LIMIT, "index")}
    return Figure(
        key=key,
        title=title,
        words=words,
        picture=charts.lines(key, title, words, axis_of(material.weeks), series, limit=drift.LIMIT),
        legend=line_key(series),
        columns=[
            when(False),
            *(
                Column(f"psi_{name}", one.name, "index")
                for name, one in zip(names, series, strict=True)
            ),
        ],
        rows=[
            (bucket.first, *(one.values[n] for one in series))
            for n, (bucket, _counts) in enumerate(material.weeks)
        ],
        note=_(
            "Population stability index against the reference, less what chance brings. Up to 0.1 "
            "is little; above 0.2 somebody should look: other machines, another export, other "
            "patients?"
        ),
    )
