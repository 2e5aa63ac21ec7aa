"""Telling whether somebody may sign in, with one answer for every reason to refuse."""

from __future__ import annotations

from django.contrib.auth import authenticate
from django.http import HttpRequest

from screening.accounts.known_devices import known_device
from screening.accounts.models import User
from screening.accounts.policies import has_active_membership, home_site_id, is_device
from screening.accounts.services import limits
from screening.accounts.services.second_factors import check_code
from screening.audit.context import current_origin
from screening.audit.models import Outcome
from screening.audit.services import record


def check_credentials(request: HttpRequest | None, *, username: str, password: str) -> User | None:
    """Whoever signs in with these, if that person works at any site.

    Somebody who was deactivated gets the same ``None`` as somebody who does not exist, after
    the same work: Django hashes the password in either case. Raises ``TooManyAttempts``, for
    names that exist and for names that do not, and then looks at no password.
    """
    attempt = _count_sign_in(request, username)
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        return None  # The signal of ``authenticate`` has left the event.
    if not has_active_membership(user) or is_device(user):
        record_refusal(username, reason="not_active")
        return None
    attempt.was_right()
    return user


def _count_sign_in(request: HttpRequest | None, username: str) -> limits.Attempt:
    user = _named(username)
    account = str(user.pk) if user is not None else f"nobody:{username.lower()}"
    device = known_device(request, user)
    if device:
        keys = [(limits.SIGN_IN_HERE, f"{account}@{device}")]
    else:
        place = _place()
        keys = [
            (limits.SIGN_IN_HERE, f"{account}@{place}"),
            (limits.SIGN_IN_ACCOUNT, account),
            (limits.SIGN_IN_ADDRESS, place),
        ]
    try:
        return limits.count_attempt(*keys)
    except limits.TooManyAttempts:
        _record_refusal(user, reason="too_many_attempts")
        raise


def check_second_factor(request: HttpRequest, *, user: User, code: str) -> str | None:
    """The kind of the second factor or recovery code that ``code`` is of, if it is right.

    For somebody whose password was right and who is not signed in yet. Raises
    ``TooManyAttempts``.
    """
    device = known_device(request, user)
    keys = [(limits.CODE_HERE, f"{user.pk}@{device or _place()}")]
    if not device:
        keys.append((limits.CODE_ACCOUNT, str(user.pk)))
    try:
        attempt = limits.count_attempt(*keys)
    except limits.TooManyAttempts:
        _record_refusal(user, reason="too_many_attempts")
        raise
    kind = check_code(user=user, code=code)
    if kind is None:
        _record_refusal(user, reason="second_factor")
        return None
    attempt.was_right()
    return kind


def confirm_identity(*, user: User, password: str = "", code: str = "") -> str | None:
    """What somebody who is signed in has proved the identity with; ``None`` if it was wrong.

    Either a password or a code is judged. Raises ``TooManyAttempts``.
    """
    try:
        attempt = limits.count_attempt((limits.CONFIRM, f"{user.pk}@{_place()}"))
    except limits.TooManyAttempts:
        _record_refusal(user, reason="too_many_attempts")
        raise
    if password:
        kind = "password" if user.check_password(password) else None
    else:
        kind = check_code(user=user, code=code)
    if kind is None:
        _record_refusal(user, reason="confirm")
        return None
    attempt.was_right()
    return kind


def record_confirmation(user: User, *, by: str) -> None:
    """One event for somebody who proved the identity again; ``by`` says with what."""
    record("session.confirm", user, site_id=home_site_id(user), actor=user, detail={"by": by})


def record_refusal(username: str, *, reason: str) -> None:
    """One event for a refused sign-in, tied to the account where there is such a one.

    The name that was tried is not kept: people type passwords into that field.
    """
    _record_refusal(_named(username), reason=reason)


def record_refused_key(user: User) -> None:
    """One event for a security key whose answer did not fit."""
    _record_refusal(user, reason="second_factor")


def _record_refusal(user: User | None, *, reason: str) -> None:
    record(
        "session.refuse",
        user,
        site_id=home_site_id(user) if user is not None else None,
        outcome=Outcome.FAILED,
        detail={"reason": reason},
    )


def _named(username: str) -> User | None:
    try:
        return User.objects.get_by_natural_key(username)
    except User.DoesNotExist:
        return None


def _place() -> str:
    return limits.place_of(current_origin().remote_addr or "")
