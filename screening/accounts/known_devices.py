"""Devices on which somebody has signed in before, so that guesses made elsewhere don't count.

A signed cookie holds a random number for the device and, for each person who signed in on it, a
digest that changes with the password. A workstation in a hospital is shared, so it may hold many.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import salted_hmac

from screening.accounts.models import User

KNOWN_FOR = timedelta(days=180)
_MOST_PEOPLE = 20
_SALT = "accounts.known-device"


def known_device(request: HttpRequest | None, user: User | None) -> str | None:
    """The device's number if ``user`` has signed in on it since the last new password."""
    if request is None or user is None:
        return None
    device, people = _read(request)
    return device if _mark_of(user) in people else None


def remember_device(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Note on ``response`` that ``user`` has signed in on this device."""
    device, people = _read(request)
    mark = _mark_of(user)
    people = [mark, *(other for other in people if other != mark)][:_MOST_PEOPLE]
    response.set_cookie(
        settings.KNOWN_DEVICE_COOKIE_NAME,
        signing.dumps([device or secrets.token_urlsafe(12), people], salt=_SALT),
        max_age=KNOWN_FOR,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _read(request: HttpRequest) -> tuple[str, list[str]]:
    sealed = request.COOKIES.get(settings.KNOWN_DEVICE_COOKIE_NAME, "")
    try:
        found: Any = signing.loads(sealed, salt=_SALT, max_age=KNOWN_FOR)
    except signing.BadSignature:
        return "", []
    device, people = found
    return device, people


def _mark_of(user: User) -> str:
    return salted_hmac(_SALT, f"{user.pk}:{user.password}", algorithm="sha256").hexdigest()[:16]
