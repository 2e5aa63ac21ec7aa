"""Telling whether somebody may sign in, with one answer for every reason to refuse."""

from __future__ import annotations

from django.contrib.auth import authenticate
from django.http import HttpRequest

from screening.accounts.models import User
from screening.accounts.policies import has_active_membership, home_site_id
from screening.audit.models import Outcome
from screening.audit.services import record


def check_credentials(request: HttpRequest | None, *, username: str, password: str) -> User | None:
    """Whoever signs in with these, if that person works at any site.

    Somebody who was deactivated gets the same ``None`` as somebody who does not exist, after
    the same work: Django hashes the password in either case.
    """
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        return None  # The signal of ``authenticate`` has left the event.
    if not has_active_membership(user):
        record_refusal(username, reason="not_active")
        return None
    return user


def record_refusal(username: str, *, reason: str) -> None:
    """One event for a refused sign-in, tied to the account where there is such a one.

    The name that was tried is not kept: people type passwords into that field.
    """
    user = User.objects.filter(username__iexact=username).first()
    record(
        "session.refuse",
        user,
        site_id=home_site_id(user) if user is not None else None,
        outcome=Outcome.FAILED,
        detail={"reason": reason},
    )
