"""Adding, checking, removing and resetting second factors.

django-allauth keeps the rows and speaks WebAuthn; what a code is worth is decided here, because
allauth remembers used codes in the cache, which each process has for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import time as now_s
from typing import Any

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import format_hotp_value, generate_totp_secret, hotp_value
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.db import transaction
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from screening.accounts.mail import mail_is_on, send_letter
from screening.accounts.models import Membership, User
from screening.accounts.policies import Permission, home_site_id, require, sites_where
from screening.accounts.preferences import as_seen_by
from screening.accounts.sealing import CannotUnseal, seal, unseal
from screening.accounts.second_factors import factors_of, must_have_second_factor
from screening.accounts.services.sessions import end_sessions
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput

TOTP = Authenticator.Type.TOTP
WEBAUTHN = Authenticator.Type.WEBAUTHN
RECOVERY = Authenticator.Type.RECOVERY_CODES
NAME_LENGTH = 60

_LETTER = _lazy("""Hello {user},

{what}

If this was not expected, please tell your administrator at once.
""")


@dataclass(frozen=True)
class NewFactor:
    """``codes`` are there only with the first factor, and exist nowhere else in readable form."""

    factor: Authenticator
    codes: list[str]


def new_app_secret() -> str:
    """160 random bits in base 32, for an authenticator app."""
    return str(generate_totp_secret())


@transaction.atomic
def add_app(*, user: User, secret: str, code: str) -> NewFactor:
    """Add an authenticator app that shows ``code`` for ``secret``.

    Raises ``InvalidInput`` (``wrong_code``) and ``Conflict`` (``has_app``).
    """
    _lock(user)
    if factors_of(user).filter(type=TOTP).exists():
        raise Conflict(
            _("You have an authenticator app already. Remove it before you add another."),
            code="has_app",
        )
    step = _matching_step(secret, code, after=None)
    if step is None:
        raise InvalidInput(
            _("This code does not fit. Check the clock of your telephone, then enter a new code."),
            code="wrong_code",
            field="code",
        )
    factor = Authenticator.objects.create(
        user=user, type=TOTP, data={"secret": seal(secret), "last_step": step}
    )
    return _added(user, factor)


@transaction.atomic
def add_key(*, user: User, name: str, credential: dict[str, Any]) -> NewFactor:
    """Add a security key whose answer to our challenge was checked (``security_keys``)."""
    _lock(user)
    factor = WebAuthn.add(user, _clean(name), credential).instance
    return _added(user, factor)


@transaction.atomic
def rename_key(*, user: User, factor: Authenticator, name: str) -> None:
    """Give a security key another name."""
    factor.data["name"] = _clean(name)
    factor.save(update_fields=["data"])
    _record("second_factor.rename", user, factor.type)


@transaction.atomic
def remove_factor(*, user: User, factor: Authenticator) -> None:
    """Remove one of the person's factors; with the last one the recovery codes go too.

    Raises ``Conflict`` (``second_factor_required``) for the last one of somebody who needs one.
    """
    _lock(user)
    others = factors_of(user).exclude(pk=factor.pk).exists()
    if not others and must_have_second_factor(user):
        raise Conflict(
            _("Your role needs a second factor. Add another one before you remove this one."),
            code="second_factor_required",
        )
    kind = factor.type
    factor.delete()
    if not others:
        Authenticator.objects.filter(user=user).delete()
    _record("second_factor.remove", user, kind)
    _tell(user, _lazy("A second factor was removed from your ThoraScreen account."))


@transaction.atomic
def renew_recovery_codes(*, user: User) -> list[str]:
    """Make new recovery codes; the old ones stop working. Raises ``Conflict`` (``no_factor``)."""
    _lock(user)
    if not factors_of(user).exists():
        raise Conflict(
            _("Recovery codes need a second factor that they stand in for. Add one first."),
            code="no_factor",
        )
    Authenticator.objects.filter(user=user, type=RECOVERY).delete()
    codes: list[str] = RecoveryCodes.activate(user).generate_codes()
    _record("second_factor.renew_codes", user, RECOVERY)
    _tell(user, _lazy("New recovery codes were made for your ThoraScreen account."))
    return codes


@transaction.atomic
def check_code(*, user: User, code: str) -> str | None:
    """Whether ``code`` is one of the app or a recovery code, and then of which kind.

    A code works once, for all processes together: the row is held while the step of the code is
    compared with the last one that was used (RFC 6238, section 5.2).
    """
    kept = {
        row.type: row
        for row in Authenticator.objects.select_for_update()
        .filter(user=user, type__in=(TOTP, RECOVERY))
        .order_by("pk")
    }
    try:
        if TOTP in kept and _use_app_code(kept[TOTP], code):
            return str(TOTP)
        if RECOVERY in kept and kept[RECOVERY].wrap().validate_code(code):
            kept[RECOVERY].refresh_from_db()
            kept[RECOVERY].record_usage()
            return str(RECOVERY)
    except CannotUnseal:
        return None  # Sealed with a key that is gone: an admin's reset is the way back.
    return None


@transaction.atomic
def reset_second_factor(*, actor: User, membership: Membership) -> None:
    """Remove every factor of a colleague who has lost them; the person sets up new ones.

    Raises ``Conflict``: ``no_factor``, or ``works_elsewhere`` where the person also works at a
    site that the admin does not manage and cannot be told by letter.
    """
    require(actor, Permission.MANAGE_USERS, membership.site_id)
    user = membership.user
    _lock(user)
    elsewhere = Membership.objects.filter(user=user, is_active=True).exclude(
        site__in=sites_where(actor, Permission.MANAGE_USERS)
    )
    if elsewhere.exists() and not (mail_is_on() and user.email):
        raise Conflict(
            _(
                "This person also works at a site you do not manage, and cannot be told by e-mail. "
                "Whoever operates the portal can reset the second factor."
            ),
            code="works_elsewhere",
        )
    if not forget_factors(user):
        raise Conflict(_("This person has no second factor."), code="no_factor")
    end_sessions(user=user, actor=actor)
    record("second_factor.reset", membership, actor=actor)
    _tell(
        user,
        _lazy(
            "An administrator has reset your second factor. You set up a new one when you sign in."
        ),
    )


@transaction.atomic
def reset_by_operator(*, username: str) -> User:
    """The same for whoever operates the portal, when no administrator can sign in any more.

    Raises ``Conflict``: ``no_user`` or ``no_factor``.
    """
    try:
        user = User.objects.get_by_natural_key(username)
    except User.DoesNotExist:
        raise Conflict(_("There is no user of this name."), code="no_user") from None
    if not forget_factors(user):
        raise Conflict(_("This person has no second factor."), code="no_factor")
    record("second_factor.reset", user, site_id=home_site_id(user))
    _tell(
        user,
        _lazy(
            "The operator of the portal has reset your second factor. "
            "You set up a new one when you sign in."
        ),
    )
    return user


def forget_factors(user: User) -> bool:
    """Delete every factor and the recovery codes; whether there was anything to delete."""
    deleted, _kinds = Authenticator.objects.filter(user=user).delete()
    return bool(deleted)


def _added(user: User, factor: Authenticator) -> NewFactor:
    is_first = not Authenticator.objects.filter(user=user, type=RECOVERY).exists()
    codes: list[str] = RecoveryCodes.activate(user).generate_codes() if is_first else []
    _record("second_factor.add", user, factor.type)
    _tell(user, _lazy("A second factor was added to your ThoraScreen account."))
    return NewFactor(factor, codes)


def _use_app_code(factor: Authenticator, code: str) -> bool:
    secret = unseal(factor.data["secret"])
    step = _matching_step(secret, code, after=factor.data.get("last_step"))
    if step is None:
        return False
    factor.data.update(secret=seal(secret), last_step=step)  # Sealed with the newest key.
    factor.save(update_fields=["data"])
    factor.record_usage()
    return True


def _matching_step(secret: str, code: str, *, after: int | None) -> int | None:
    """The time step that ``code`` belongs to, one before and after the present one included."""
    digits = "".join(code.split())
    now = int(now_s()) // app_settings.TOTP_PERIOD
    found = None
    for step in (now - 1, now, now + 1):
        fits = constant_time_compare(digits, format_hotp_value(hotp_value(secret, step)))
        if fits and (after is None or step > after):
            found = step
    return found


def _lock(user: User) -> None:
    """All changes to one person's factors queue up at the person's row."""
    User.objects.select_for_update().get(pk=user.pk)


def _clean(name: str) -> str:
    return name.strip()[:NAME_LENGTH] or _("Security key")


def _record(action: str, user: User, kind: str) -> None:
    record(action, user, site_id=home_site_id(user), actor=user, detail={"kind": str(kind)})


def _tell(user: User, what: Any) -> None:
    """Write to the person once the change holds; nobody waits for a mail server in between."""

    def send() -> None:
        with as_seen_by(user):
            send_letter(
                to=user.email,
                subject=_("Your second factor has changed"),
                body=_LETTER.format(user=user, what=what),
            )

    transaction.on_commit(send)
