"""The forms of holds, erasures and retention."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from screening.patients.holds import REASON_LENGTH
from screening.patients.models import MRN_LENGTH
from screening.retention.periods import MINORS_UNTIL, MOST_YEARS


def _reason(label: object, help_text: object = "") -> forms.CharField:
    return forms.CharField(
        label=label,  # type: ignore[arg-type]  # a lazy sentence
        help_text=help_text,  # type: ignore[arg-type]
        max_length=REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class HoldForm(forms.Form):
    reason = _reason(_("Why?"))


class EraseForm(forms.Form):
    mrn = forms.CharField(
        label=_("The patient’s record number (MRN), once more"),
        max_length=MRN_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    reason = _reason(_("Why?"), _("Kept after the erasure: do not name the patient in it."))


class RuleForm(forms.Form):
    years = forms.IntegerField(
        label=_("Years after the last activity in a record"),
        min_value=1,
        max_value=MOST_YEARS,
        required=False,
        help_text=_("Empty: everything is kept."),
    )
    minors_until = forms.IntegerField(
        label=_("For minors, the years begin at this age"),
        min_value=MINORS_UNTIL[0],
        max_value=MINORS_UNTIL[1],
        required=False,
        help_text=_("Empty: age makes no difference."),
    )
