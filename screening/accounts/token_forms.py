"""What is said of a token when it is made."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from screening.accounts.models import Scope

_OFFERED_DAYS = (7, 30, 90, 180, 365)


def lifetimes() -> list[tuple[int, str]]:
    """The lifetimes offered, none longer than ``TOKEN_MAX_DAYS``, which always is."""
    most = settings.TOKEN_MAX_DAYS
    days = sorted({one for one in _OFFERED_DAYS if one < most} | {most})
    return [(one, ngettext("%(n)s day", "%(n)s days", one) % {"n": one}) for one in days]


class LifetimeForm(forms.Form):
    """A name and an end: what every token has."""

    name = forms.CharField(
        label=_("Name"),
        max_length=60,
        help_text=_("What uses it, for example “Export to the register”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    days = forms.TypedChoiceField(label=_("Lifetime"), coerce=int)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = lifetimes()
        field = self.fields["days"]
        field.choices = offered  # type: ignore[attr-defined]
        field.initial = min(90, offered[-1][0])


class DeviceForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=60,
        help_text=_("As people here call it, for example “X-ray room 1”."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class TokenForm(LifetimeForm):
    """The token of a person, who chooses what it is good for."""

    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        choices=Scope.choices,
        initial=[Scope.READ],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("It can never do more than you can. Choose as few as the program needs."),
    )
    field_order = ("name", "scopes", "days")
