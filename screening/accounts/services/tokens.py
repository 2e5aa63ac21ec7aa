"""Tokens by which programs use the API as a person, or as a device."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts.keys import digest, new_secret
from screening.accounts.models import ApiToken, Membership, Scope, User, every_scope
from screening.accounts.policies import Permission, sites_where
from screening.audit.services import record
from screening.core.errors import Forbidden, InvalidInput

# What scanners of leaked secrets look for; never change it.
PREFIX = "thora_"
DEFAULT_DAYS = 90
_USE_RECORDED_EVERY = timedelta(minutes=1)
_HINT_LENGTH = 4


@dataclass(frozen=True)
class IssuedToken:
    """``secret`` exists only here: nobody can read it again later."""

    token: ApiToken
    secret: str


@transaction.atomic
def make_token(
    *,
    user: User,
    name: str,
    scopes: Collection[str],
    days: int,
    made_by: User | None = None,
) -> IssuedToken:
    """Make a token of ``user`` that lives ``days`` days.

    ``made_by`` is the admin where ``user`` is a device. Raises ``InvalidInput`` for scopes that
    do not exist, for none, and for more days than ``TOKEN_MAX_DAYS``.
    """
    wanted = [scope for scope in Scope.values if scope in scopes]
    if not wanted or len(wanted) != len(set(scopes)):
        raise InvalidInput(_("Choose one scope or more of those offered."), field="scopes")
    if not 1 <= days <= settings.TOKEN_MAX_DAYS:
        raise InvalidInput(
            _("A token may live from 1 to %(days)s days.") % {"days": settings.TOKEN_MAX_DAYS},
            field="days",
        )
    secret = PREFIX + new_secret()
    token = ApiToken.objects.create(
        user=user,
        name=name,
        scopes=wanted,
        token_sha256=digest(secret),
        hint=secret[-_HINT_LENGTH:],
        expires_at=timezone.now() + timedelta(days=days),
        made_by=made_by,
    )
    detail = {"scopes": wanted, "days": days}
    record("token.issue", token, actor=made_by or user, detail=detail)
    return IssuedToken(token, secret)


def issue_token(
    *,
    user: User,
    name: str = "",
    scopes: Collection[str] | None = None,
    days: int | None = None,
) -> str:
    """The secret of a token for all that ``user`` may do, unless less is asked for."""
    made = make_token(
        user=user,
        name=name,
        scopes=every_scope() if scopes is None else scopes,
        days=min(DEFAULT_DAYS, settings.TOKEN_MAX_DAYS) if days is None else days,
    )
    return made.secret


@transaction.atomic
def revoke_token(*, actor: User, token: ApiToken) -> None:
    """Make ``token`` useless at once.

    Everybody may revoke the own ones, an admin those of whoever works at the admin's site.
    Raises ``Forbidden``.
    """
    if token.user_id != actor.pk:
        managed = sites_where(actor, Permission.MANAGE_USERS)
        if not Membership.objects.filter(
            user=token.user_id, is_active=True, site__in=managed
        ).exists():
            raise Forbidden(_("Your role at this site does not allow that."))
    record("token.revoke", token, actor=actor)
    token.delete()


def find_token(secret: str, *, address: str | None = None) -> ApiToken | None:
    """The token behind ``secret`` unless it has expired; notes that it was used, and from where."""
    now = timezone.now()
    token = (
        ApiToken.objects.select_related("user__service_account")
        .living()
        .filter(token_sha256=digest(secret))
        .first()
    )
    if token is not None and (
        token.last_used_at is None or now - token.last_used_at > _USE_RECORDED_EVERY
    ):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now, last_used_from=address)
    return token


def clear_expired() -> None:
    """Remove sessions and tokens that nobody can use any more."""
    call_command("clearsessions")
    ApiToken.objects.filter(expires_at__lte=timezone.now()).delete()
