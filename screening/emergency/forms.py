"""What is typed to open a record in an emergency, and what admins choose for their site."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site
from screening.emergency.models import MayOpen
from screening.emergency.services import LONGEST_REASON, SHORTEST_REASON, Sought
from screening.patients.models import MRN_LENGTH, NAME_LENGTH

_EXACT = {"autocomplete": "off", "spellcheck": "false"}


class OpenForm(forms.Form):
    """Exactly whose record, and why now."""

    site = forms.ChoiceField(label=_("Site"), help_text=_("Where the record is kept."))
    mrn = forms.CharField(
        label=_("MRN"),
        required=False,
        max_length=MRN_LENGTH,
        help_text=_("The whole record number at that site. Without it, name and birth date."),
        widget=forms.TextInput(attrs=_EXACT),
    )
    family_name = forms.CharField(
        label=_("Family name"),
        required=False,
        max_length=NAME_LENGTH,
        widget=forms.TextInput(attrs=_EXACT),
    )
    birth_date = forms.DateField(
        label=_("Birth date"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date", "min": "1870-01-01"}, format="%Y-%m-%d"),
        error_messages={"invalid": _("Enter the date as year-month-day, such as 1962-03-14.")},
    )
    reason = forms.CharField(
        label=_("Why you need it now"),
        max_length=LONGEST_REASON,
        help_text=_("A sentence. The administrators of both sites read it."),
        widget=forms.Textarea(
            attrs={"rows": 3, "minlength": SHORTEST_REASON, "autocomplete": "off"}
        ),
        error_messages={"required": _("Say why you need this record now.")},
    )

    def __init__(self, *args: Any, sites: list[Site], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sites = {str(site.pk): site for site in sites}
        field = self.fields["site"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  # declared above
        field.choices = [("", _("Choose the site …"))] + [(str(s.pk), s.name) for s in sites]

    def sought(self) -> Sought:
        """Whose record was asked for, once ``is_valid`` has said so."""
        data = self.cleaned_data
        return Sought(
            site=self._sites[data["site"]],
            mrn=data["mrn"],
            family_name=data["family_name"],
            birth_date=data["birth_date"],
        )


class RuleForm(forms.Form):
    may_open = forms.ChoiceField(
        label=_("Who may open records of this site in an emergency"), choices=MayOpen.choices
    )


class ReviewForm(forms.Form):
    site = forms.UUIDField()
    remark = forms.CharField(required=False, max_length=LONGEST_REASON)

    def site_id(self) -> UUID:
        found: UUID = self.cleaned_data["site"]
        return found
