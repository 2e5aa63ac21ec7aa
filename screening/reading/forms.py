"""The filters above the history."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from screening.core.errors import InvalidInput
from screening.inference.models import Label
from screening.reading.selectors import HistoryFilter
from screening.studies.models import Status

_ANY = ("", "Any")


def in_this_age(day: date) -> None:
    """Near the ends of the calendar the next day, or the same one elsewhere, does not exist."""
    if not 1900 <= day.year <= 2999:
        raise ValidationError("Enter a date between 1900 and 2999.")


class DayInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class HistoryFilterForm(forms.Form):
    """Status, class and a span of days; every part may be left out."""

    status = forms.ChoiceField(
        required=False,
        choices=[_ANY, ("open", "In progress"), *Status.choices],
    )
    label = forms.ChoiceField(label="Class", required=False, choices=[_ANY, *Label.choices])
    since = forms.DateField(
        label="From", required=False, widget=DayInput(), validators=[in_this_age]
    )
    until = forms.DateField(label="To", required=False, widget=DayInput(), validators=[in_this_age])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", "The last day lies before the first.")
        return cleaned

    def wanted(self) -> HistoryFilter:
        """The filter, once the form is valid."""
        if not self.is_valid():
            raise InvalidInput("The filter is not valid.")
        return HistoryFilter(**self.cleaned_data)
