"""Letting in somebody whom the identity provider has named."""

from __future__ import annotations

import logging
from typing import Any

from allauth.account.utils import perform_login
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from screening.accounts.middleware import log_in_page
from screening.accounts.models import User
from screening.accounts.second_factors import note_second_factor
from screening.accounts.services.sign_on import SignOnRefused, admit
from screening.accounts.sign_on.config import SignOn
from screening.audit.models import Outcome
from screening.audit.services import record

logger = logging.getLogger(__name__)


def arrive(
    request: HttpRequest, config: SignOn, claims: dict[str, Any], next_page: str
) -> HttpResponse:
    """Follow the person's groups and begin a session, by way of the stages of every sign-in."""
    try:
        user = admit(config=config, claims=claims)
    except SignOnRefused as error:
        return refuse(error.code, user=error.user)
    if config.proves_second_factor(claims):
        note_second_factor(request, user, "sign_on")
    page = next_page or settings.LOGIN_REDIRECT_URL
    answer: HttpResponse = perform_login(request, user, redirect_url=page)
    return answer


def refuse(code: str, *, user: User | None = None, why: str = "") -> HttpResponse:
    """Back to the log-in page, which says why; one event, and a line for the operator."""
    if why:
        logger.warning("sign-on refused: %s (%s)", code, why)
    record("session.refuse", user, outcome=Outcome.FAILED, detail={"reason": code})
    return log_in_page(closed=code)
