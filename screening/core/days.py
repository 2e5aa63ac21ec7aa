"""Days as people choose them in forms."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _


def in_this_age(day: date) -> None:
    """Near the ends of the calendar the next day, or the same one elsewhere, does not exist."""
    if not 1900 <= day.year <= 2999:
        raise ValidationError(_("Enter a date between 1900 and 2999."))


class DayInput(forms.DateInput):
    """The browser's own choice of a day."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(format="%Y-%m-%d", attrs=attrs)


class DaysForm(forms.Form):
    """Has fields ``since`` and ``until``, the one not after the other."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", _("The last day lies before the first."))
        return cleaned
