"""A confirmed diagnosis as it is typed, and a file of many."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from screening.core.days import DayInput
from screening.studies.diagnoses import EARLIEST, NOTE_LENGTH
from screening.studies.models import Basis, ConfirmedDiagnosis, Diagnosis


class PastDayInput(DayInput):
    """The browser's own choice of a day, up to today."""

    def __init__(self) -> None:
        super().__init__({"min": EARLIEST.isoformat()})

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        today = timezone.localdate().isoformat()
        return super().get_context(name, value, {**(attrs or {}), "max": today})


class DiagnosisForm(forms.Form):
    """Shows every complaint at once; the services hold the same rules."""

    label = forms.ChoiceField(
        label=_("Diagnosis"),
        choices=[("", _("Choose")), *Diagnosis.choices],
        error_messages={"required": _("Choose what the patient had.")},
    )
    basis = forms.ChoiceField(
        label=_("Known from"),
        choices=[("", _("Choose")), *Basis.choices],
        error_messages={"required": _("Choose what the diagnosis rests on.")},
    )
    date = forms.DateField(
        label=_("Day of the test or diagnosis"),
        widget=PastDayInput(),
        error_messages={
            "required": _("Enter the day."),
            "invalid": _("Enter the date as year-month-day, such as 2026-03-14."),
        },
    )
    note = forms.CharField(
        label=_("Note"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "maxlength": NOTE_LENGTH}),
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    @classmethod
    def after(cls, current: ConfirmedDiagnosis | None) -> DiagnosisForm:
        """The form as it stands before anything is typed; a correction starts from what holds."""
        if current is None:
            return cls(initial={"seen": ""}, auto_id="diagnosis-%s")
        values: dict[str, Any] = {
            name: getattr(current, name) for name in ("label", "basis", "date", "note")
        }
        return cls(initial={**values, "seen": str(current.pk)}, auto_id="diagnosis-%s")

    def values(self) -> dict[str, Any]:
        """What was typed, once ``is_valid`` has said so."""
        return dict(self.cleaned_data)

    def clean_date(self) -> dt.date:
        day: dt.date = self.cleaned_data["date"]
        if day > timezone.localdate():
            raise forms.ValidationError(_("The date lies in the future."))
        return day


class ImportForm(forms.Form):
    """A file of diagnoses, or its text from the report of the dry run."""

    file = forms.FileField(
        label=_("CSV file"),
        error_messages={"required": _("Choose a file."), "empty": _("This file is empty.")},
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )
    replace = forms.BooleanField(
        label=_("Replace diagnoses that are recorded already and differ"),
        required=False,
        help_text=_("Otherwise such lines are listed as not fitting. Replaced ones stay visible."),
    )
