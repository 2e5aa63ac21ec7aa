"""What people type, and what security keys answer, about second factors."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from screening.accounts.services.second_factors import NAME_LENGTH


class PasswordForm(forms.Form):
    """One's own password, asked again."""

    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class CodeForm(forms.Form):
    """A code of the app, or a recovery code."""

    code = forms.CharField(
        label=_("Code"),
        max_length=32,
        help_text=_("Six digits from your authenticator app, or one of your recovery codes."),
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


class AppCodeForm(forms.Form):
    """The first code of a new app, which proves that it has the secret."""

    code = forms.CharField(
        label=_("Code from the app"),
        max_length=16,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


class AnswerField(forms.CharField):
    """The JSON object that a security key answered.

    Never shown again: each challenge wants a fresh one. Not Django's ``JSONField``, whose limit
    counts the members of what was read and not the letters that were sent.
    """

    widget = forms.HiddenInput

    def clean(self, value: Any) -> dict[str, Any]:
        text = super().clean(value)
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise forms.ValidationError(_("This is no answer of a security key."))
        return answer

    def prepare_value(self, value: Any) -> str:
        return ""


class KeyForm(forms.Form):
    """What a security key answered; a script fills it in and sends it."""

    credential = AnswerField(max_length=20_000)


class NewKeyForm(KeyForm):
    name = forms.CharField(
        label=_("Name of the key"),
        required=False,
        max_length=NAME_LENGTH,
        help_text=_("So that you know it again in the list, for example: blue key on my ring."),
    )


class KeyNameForm(forms.Form):
    name = forms.CharField(max_length=NAME_LENGTH)
