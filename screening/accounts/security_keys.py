"""The WebAuthn ceremony: challenges, and what a security key answers to them.

allauth keeps the open challenge in the session and checks the answer with Yubico's ``fido2``.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from screening.accounts.models import User

# Whatever a browser may send instead of an answer is no answer.
_NO_ANSWER = (ValidationError, ValueError, LookupError, TypeError, AttributeError, struct.error)


def host_can_have_keys(request: HttpRequest) -> bool:
    """Keys are bound to a name: browsers refuse them on a bare address such as 127.0.0.1."""
    host = request.get_host().rpartition(":")[0] or request.get_host()
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return True
    return False


def challenge_to_add(user: User) -> dict[str, Any]:
    """What the browser hands to a new key."""
    return dict(auth.begin_registration(user, False))


def challenge_to_prove(user: User) -> dict[str, Any]:
    """What the browser hands to one of the person's keys."""
    return dict(auth.begin_authentication(user))


def check_new_key(credential: Any) -> bool:
    """Whether a new key's answer fits the challenge of this session."""
    try:
        auth.parse_registration_response(credential)
        auth.complete_registration(credential)
    except _NO_ANSWER:
        return False
    return True


def check_key(user: User, credential: Any) -> Authenticator | None:
    """The person's key that gave this answer to the challenge of this session, if any did."""
    try:
        auth.parse_authentication_response(credential)
        found: Authenticator = auth.complete_authentication(user, credential)
    except _NO_ANSWER:
        return None
    found.record_usage()
    return found
