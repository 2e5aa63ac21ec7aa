"""The filters above the history."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from screening.core.days import DayInput, DaysForm, in_this_age
from screening.core.errors import InvalidInput
from screening.inference.models import Label
from screening.record.selectors import HistoryFilter
from screening.studies.models import Status

_ANY = ("", _("Any"))


class HistoryFilterForm(DaysForm):
    """Status, class and a span of days; every part may be left out."""

    status = forms.ChoiceField(
        label=_("Status"),
        required=False,
        choices=[_ANY, ("open", _("In progress")), *Status.choices],
    )
    label = forms.ChoiceField(label=_("Class"), required=False, choices=[_ANY, *Label.choices])
    since = forms.DateField(
        label=_("From"), required=False, widget=DayInput(), validators=[in_this_age]
    )
    until = forms.DateField(
        label=_("To"), required=False, widget=DayInput(), validators=[in_this_age]
    )

    def wanted(self) -> HistoryFilter:
        """The filter, once the form is valid."""
        if not self.is_valid():
            raise InvalidInput(str(_("The filter is not valid.")))
        return HistoryFilter(**self.cleaned_data)
