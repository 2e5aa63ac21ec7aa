"""The span of days that a dashboard shows, and the span it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from django import forms
from django.utils.translation import gettext_lazy as _

from screening.core.days import DayInput

DEFAULT_WEEKS = 12
LONGEST_DAYS = 1100
BY_DAY_UP_TO = 45
"""A longer span is drawn by week."""


@dataclass(frozen=True)
class Span:
    """Days from ``first`` to ``last``, both included."""

    first: date
    last: date

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


@dataclass(frozen=True)
class Bucket:
    """A day, or the days of one week that lie in the span; weeks begin on Monday."""

    first: date
    days: tuple[date, ...]


def by_day(span: Span) -> list[Bucket]:
    return [Bucket(day, (day,)) for day in span.days]


def by_week(span: Span) -> list[Bucket]:
    weeks = groupby(span.days, key=monday_of)
    return [Bucket(monday, tuple(days)) for monday, days in weeks]


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def weeks_up_to(last: date, number: int) -> Span:
    """The week of ``last`` up to that day, and the whole weeks before it."""
    return Span(monday_of(last) - timedelta(weeks=number - 1), last)


class PeriodForm(forms.Form):
    """Both spans may be left out, in parts or whole."""

    first = forms.DateField(label=_("From"), required=False, widget=DayInput())
    last = forms.DateField(label=_("To"), required=False, widget=DayInput())
    reference_first = forms.DateField(label=_("Reference from"), required=False, widget=DayInput())
    reference_last = forms.DateField(label=_("Reference to"), required=False, widget=DayInput())

    def __init__(self, *args: object, today: date, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # as Django's own
        self._today = today

    def clean(self) -> dict[str, date | None]:
        values: dict[str, date | None] = super().clean() or {}
        for first, last in (("first", "last"), ("reference_first", "reference_last")):
            start, end = values.get(first), values.get(last)
            if start and end and start > end:
                self.add_error(last, _("The last day lies before the first."))
            if any(day and not 1900 <= day.year <= 2999 for day in (start, end)):
                self.add_error(first, _("Enter a date between 1900 and 2999."))
        if not self.errors and len(self.span(values).days) > LONGEST_DAYS:
            self.add_error("first", _("Choose three years at most."))
        return values

    def span(self, values: dict[str, date | None] | None = None) -> Span:
        """The span to show: up to today, twelve weeks long where nothing else was said."""
        found = self.cleaned_data if values is None else values
        last = found.get("last") or max(self._today, found.get("first") or self._today)
        return Span(found.get("first") or weeks_up_to(last, DEFAULT_WEEKS).first, last)

    def reference(self) -> Span | None:
        """The span to hold it against, where both its ends were given."""
        first, last = (self.cleaned_data.get(f"reference_{end}") for end in ("first", "last"))
        return Span(first, last) if first and last else None
