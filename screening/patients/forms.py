"""A patient's data as it is typed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django import forms
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site
from screening.patients import rules, services
from screening.patients.models import Patient, Sex
from screening.patients.services import PatientChanges


class PatientForm(forms.Form):
    """Shows every complaint at once; the services hold the same rules."""

    family_name = forms.CharField(
        label=_("Family name"),
        help_text=_("Somebody with only one name has it here."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "maxlength": 120}),
        error_messages={"required": _("Enter the family name.")},
    )
    given_name = forms.CharField(
        label=_("Given name"),
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "maxlength": 120}),
    )
    mrn = forms.CharField(
        label=_("MRN"),
        help_text=_("The medical record number; each patient of your site has another."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "maxlength": 64, "spellcheck": "false"}
        ),
        error_messages={"required": _("Enter the record number (MRN).")},
    )
    birth_date = forms.DateField(
        label=_("Birth date"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date", "min": "1870-01-01"}, format="%Y-%m-%d"),
        error_messages={"invalid": _("Enter the date as year-month-day, such as 1962-03-14.")},
    )
    sex = forms.ChoiceField(
        label=_("Sex"), required=False, choices=[("", _("Not known")), *Sex.choices]
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def ask_for_site(self, sites: Sequence[Site]) -> None:
        """Let whoever works at several sites say where the new record belongs."""
        self._sites = {str(site.pk): site for site in sites}
        self.fields["site"] = forms.ChoiceField(
            label=_("Site"),
            help_text=_("Where the record will belong. It can’t be moved later."),
            choices=[("", _("Choose the site …")), *((str(s.pk), s.name) for s in sites)],
            error_messages={"required": _("Choose the site.")},
        )

    def chosen_site(self) -> Site:
        """The site that was chosen, once ``is_valid`` has said so."""
        return self._sites[self.cleaned_data["site"]]

    @classmethod
    def of(cls, patient: Patient) -> PatientForm:
        """The form as it stands before anything is changed."""
        now = {name: getattr(patient, name) for name in cls.base_fields if name != "seen"}
        return cls(initial={**now, "seen": services.state_of(patient)})

    def clean_mrn(self) -> str:
        return rules.check_mrn(self.cleaned_data["mrn"])

    def clean_family_name(self) -> str:
        return rules.check_family_name(self.cleaned_data["family_name"])

    def clean_given_name(self) -> str:
        return rules.check_given_name(self.cleaned_data["given_name"])

    def clean_birth_date(self) -> dt.date | None:
        return rules.check_birth_date(self.cleaned_data["birth_date"])

    def values(self) -> PatientChanges:
        """What was typed, once ``is_valid`` has said so."""
        data = self.cleaned_data
        return PatientChanges(
            mrn=data["mrn"],
            family_name=data["family_name"],
            given_name=data["given_name"],
            birth_date=data["birth_date"],
            sex=data["sex"],
        )
