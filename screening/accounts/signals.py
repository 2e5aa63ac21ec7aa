"""Leaves one event for each sign-in, refused sign-in and sign-out, wherever it happens."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import (
    user_logged_in,
    user_logged_out,
    user_login_failed,
)
from django.dispatch import receiver
from django.http import HttpRequest

from screening.accounts.models import User
from screening.accounts.policies import home_site_id
from screening.accounts.reauthentication import note_proof
from screening.accounts.second_factors import proved_second_factor
from screening.accounts.services.sessions import start_session
from screening.accounts.services.sign_in import record_refusal
from screening.audit.services import record


@receiver(user_logged_in)
def note_sign_in(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Also starts the clock of the session's hard age (see the middleware)."""
    note_proof(request)
    start_session(request)
    kind = proved_second_factor(request, user)
    detail = {"second_factor": kind} if kind else {}
    record("session.start", user, site_id=home_site_id(user), actor=user, detail=detail)


@receiver(user_logged_out)
def note_sign_out(sender: Any, request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None and user.pk:
        record("session.end", user, site_id=home_site_id(user), actor=user)


@receiver(user_login_failed)
def note_failed_sign_in(sender: Any, credentials: dict[str, Any], **_: Any) -> None:
    record_refusal(str(credentials.get("username") or ""), reason="credentials")
