"""Who has a second factor, who must have one, and what a session knows about it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from screening.accounts.models import Membership, User
from screening.accounts.sealing import CannotUnseal

# Recovery codes are the way back for somebody who has lost the factor, and no factor alone.
KINDS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
_SESSION_KEY = "second_factor"


@dataclass(frozen=True)
class Standing:
    """Where a person belongs at this moment, and what that asks of the person.

    ``sites`` are all the sites where the person works, ``site_id`` is the home among them.
    """

    site_id: UUID
    sites: tuple[UUID, ...]
    time_zone: str
    needs_second_factor: bool


def standing_of(user: User | AnonymousUser) -> Standing | None:
    """The person's standing, ``None`` for somebody who belongs nowhere. One query.

    The home site is the oldest active membership's; a second factor is needed as soon as one
    site asks it of the role held there.
    """
    if not user.is_authenticated or not user.is_active:
        return None
    rows = list(
        Membership.objects.filter(user=user, is_active=True)
        .order_by("created_at")
        .values_list("site_id", "role", "site__time_zone", "site__second_factor_roles")
    )
    if not rows:
        return None
    site_id, _role, time_zone, _roles = rows[0]
    sites = tuple(row[0] for row in rows)
    needs = any(role in asked for _site, role, _zone, asked in rows)
    return Standing(site_id, sites, time_zone, needs)


def must_have_second_factor(user: User | AnonymousUser) -> bool:
    standing = standing_of(user)
    return standing is not None and standing.needs_second_factor


def factors_of(user: User) -> QuerySet[Authenticator]:
    """The person's own factors, oldest first, without the recovery codes."""
    found: QuerySet[Authenticator] = Authenticator.objects.filter(user=user, type__in=KINDS)
    return found.order_by("created_at", "pk")


def has_second_factor(user: User) -> bool:
    return bool(factors_of(user).exists())


def get_factor(user: User, factor_id: int) -> Authenticator:
    """One of the person's own factors. Raises ``Http404`` for anybody else's."""
    try:
        return factors_of(user).get(pk=factor_id)
    except (Authenticator.DoesNotExist, OverflowError):
        raise Http404 from None


def recovery_codes_left(user: User) -> int | None:
    """How many recovery codes still work; ``None`` where there never were any.

    Codes whose seed was sealed with a key that is gone work no longer.
    """
    kept = Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).first()
    if kept is None:
        return None
    try:
        return len(kept.wrap().get_unused_codes())
    except CannotUnseal:
        return 0


def note_second_factor(request: HttpRequest, user: User, kind: str) -> None:
    """The person of this session has proved a second factor; ``kind`` says which."""
    request.session[_SESSION_KEY] = {"user": str(user.pk), "kind": kind}


def forget_second_factor(request: HttpRequest) -> None:
    """What this session has proved holds no longer: the factor is gone."""
    request.session.pop(_SESSION_KEY, None)


def proved_second_factor(request: HttpRequest, user: User | None = None) -> str:
    """The kind of second factor that was proved in this session; empty for none."""
    found = request.session.get(_SESSION_KEY) or {}
    person = user or request.user
    return str(found["kind"]) if found.get("user") == str(person.pk) else ""
