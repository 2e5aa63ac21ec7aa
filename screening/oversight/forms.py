"""What people look for in the audit."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import User
from screening.core.days import DayInput, DaysForm, in_this_age
from screening.oversight.selectors import Search, people_named
from screening.oversight.words import GROUPS
from screening.patients.models import Patient
from screening.patients.normalise import mrn_key, without_hidden_characters

_ANY = ("", _("Any"))
OUTCOMES = (
    _ANY,
    ("ok", _("done")),
    ("refused", _("denied or failed")),
    ("denied", _("denied")),
    ("failed", _("failed")),
)
FORMATS = ("csv", "jsonl")


def _actions() -> list[Any]:
    """Whole groups first, then each action in its group."""
    groups = [(group.key, group.title) for group in GROUPS]
    single = [(group.title, list(group.words.items())) for group in GROUPS]
    return [_ANY, (_("Whole groups"), groups), *single]


class SearchForm(DaysForm):
    """Every part may be left out."""

    who = forms.CharField(
        label=_("Who"),
        required=False,
        max_length=150,
        help_text=_("User name, or how a name begins"),
    )
    mrn = forms.CharField(label=_("Patient (MRN)"), required=False, max_length=64)
    action = forms.ChoiceField(label=_("What"), required=False, choices=_actions)
    outcome = forms.ChoiceField(label=_("Outcome"), required=False, choices=OUTCOMES)
    since = forms.DateField(
        label=_("From"), required=False, widget=DayInput(), validators=[in_this_age]
    )
    until = forms.DateField(
        label=_("To"), required=False, widget=DayInput(), validators=[in_this_age]
    )
    object = forms.CharField(
        label=_("Object"),
        required=False,
        max_length=64,
        help_text=_("The long number in an address"),
    )
    request = forms.CharField(label=_("Request"), required=False, max_length=64)

    def wanted(self, user: User | AnonymousUser) -> Search:
        """What is looked for, once the form is valid; people and patients by what ``user`` sees."""
        asked = self.cleaned_data
        action = asked["action"]
        groups = {group.key: tuple(group.words) for group in GROUPS}
        return Search(
            actors=people_named(user, asked["who"]) if asked["who"].strip() else None,
            patients=_patients(user, asked["mrn"]) if asked["mrn"].strip() else None,
            object_id=asked["object"].strip().lower(),
            request_id=asked["request"].strip(),
            actions=groups.get(action, (action,)) if action else (),
            outcome=asked["outcome"],
            since=_midnight(asked["since"]),
            until=_midnight(asked["until"], days=1),
        )


def _patients(user: User | AnonymousUser, mrn: str) -> list[Any]:
    key = mrn_key(without_hidden_characters(mrn))
    return list(Patient.objects.visible_to(user).filter(mrn_key=key).values_list("pk", flat=True))


def _midnight(day: Any, *, days: int = 0) -> datetime | None:
    if day is None:
        return None
    return timezone.make_aware(datetime.combine(day + timedelta(days=days), time.min))
