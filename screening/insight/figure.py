"""What a figure of the dashboard is: a picture, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from screening.inference.models import Label
from screening.insight import charts
from screening.insight.charts import Axis, Series
from screening.insight.counting import Counts
from screening.insight.periods import Bucket

FEWEST = 10
"""Where answers may be hidden, fewer than this many together are not shown: they would tell."""

CLASSES = (
    (Label.COVID, "series-covid"),
    (Label.PNEUMONIA, "series-pneumonia"),
    (Label.NORMAL, "series-normal"),
)
LOOKS: dict[str, Any] = {
    "mean_grey": _lazy("Mean grey"),
    "contrast": _lazy("Contrast"),
    "sharpness": _lazy("Sharpness"),
    "megapixels": _lazy("Size"),
    "format": _lazy("File type"),
}


@dataclass(frozen=True)
class Column:
    """``name`` heads it in a CSV file; ``kind`` says how its numbers are written on a page."""

    name: str
    title: str
    kind: str = "count"


@dataclass(frozen=True)
class Figure:
    """``rows`` hold plain values, in the order of ``columns``; None is "nothing to say"."""

    key: str
    title: str
    words: str
    picture: SafeString
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    legend: Sequence[tuple[SafeString, str]] = ()
    note: str = ""

    @property
    def cells(self) -> list[list[tuple[Column, str]]]:
        """The rows as a page shows them."""
        return [
            [
                (column, written(value, column.kind))
                for column, value in zip(self.columns, row, strict=True)
            ]
            for row in self.rows
        ]


@dataclass(frozen=True)
class Alert:
    sentence: str
    figure: str


@dataclass(frozen=True)
class Material:
    """What figures are made from: counts by day and by week, their total, and the reference."""

    steps: list[tuple[Bucket, Counts]]
    weeks: list[tuple[Bucket, Counts]]
    total: Counts
    reference: Counts
    may_tell: bool = True
    by_day: bool = True
    alerts: list[Alert] = field(default_factory=list)

    @property
    def told(self) -> list[Counts]:
        """The weeks as far as their answers may be told: empty where there are too few of them."""
        return [
            counts if self.may_tell or counts.results >= FEWEST else Counts()
            for _bucket, counts in self.weeks
        ]


def written(value: Any, kind: str) -> str:
    """A value as a person reads it in the language at hand; a dash for None."""
    if value is None:
        return "–"
    if kind == "day":
        return date_format(value, "SHORT_DATE_FORMAT")
    if kind == "share":
        return f"{number_format(value * 100, 1)}\u00a0%"
    if kind == "seconds":
        return seconds(value)
    if kind == "index":
        return number_format(value, 2)
    if kind == "number":
        return number_format(value, 3)
    return str(value)


def seconds(value: float) -> str:
    """``1.4 s``, ``3.2 min`` or ``5.1 h``."""
    if value < 120:
        return _("%(n)s s") % {"n": number_format(value, 1)}
    if value < 7200:
        return _("%(n)s min") % {"n": number_format(value / 60, 1)}
    return _("%(n)s h") % {"n": number_format(value / 3600, 1)}


def axis_of(buckets: Sequence[tuple[Bucket, Counts]]) -> Axis:
    return Axis([date_format(bucket.first, "MONTH_DAY_FORMAT") for bucket, _counts in buckets])


def when(material_by_day: bool) -> Column:
    return (
        Column("day", _("Day"), "day")
        if material_by_day
        else Column("week_of", _("Week of"), "day")
    )


def latest(
    weeks: Sequence[tuple[Bucket, Counts]], values: Sequence[float | None]
) -> tuple[date, float] | None:
    """The newest week that says anything."""
    for (bucket, _counts), value in zip(reversed(weeks), reversed(values), strict=True):
        if value is not None:
            return bucket.first, value
    return None


def line_key(series: Sequence[Series]) -> list[tuple[SafeString, str]]:
    return [(charts.key_line(n, one.css), one.name) for n, one in enumerate(series)]
