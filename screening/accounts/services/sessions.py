"""Sessions: how long one lasts, which a person has, and ending them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth import SESSION_KEY as USER_ID
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from screening.accounts import session_store as keys
from screening.accounts.models import Membership, Session, Site, User
from screening.accounts.policies import Permission, home_site_id, require
from screening.accounts.user_agents import in_words
from screening.audit.services import record
from screening.core.errors import InvalidInput


@dataclass(frozen=True)
class TimeLeft:
    """Seconds until a session ends: for want of a person, or because it is old enough."""

    idle_s: float
    age_s: float


def start_session(request: HttpRequest) -> None:
    """Note down what a list of sessions shows of the one that has just begun."""
    session = request.session
    session[keys.SIGNED_IN_AT] = time.time()
    session[keys.HANDLE] = str(uuid4())
    session[keys.ADDRESS] = request.META.get("REMOTE_ADDR") or None
    session[keys.DEVICE] = in_words(request.headers.get("User-Agent", ""))
    renew_session(session)


def renew_session(session: SessionBase) -> None:
    """The person did something: the idle time begins anew, as long as the site now wants it."""
    session[keys.IDLE_S] = idle_seconds(session[USER_ID])
    session[keys.RENEWED_AT] = time.time()


def is_renewal_due(session: SessionBase) -> bool:
    """Whether the last renewal is so long ago that another one is worth being written."""
    idle = session.get(keys.IDLE_S) or settings.SESSION_COOKIE_AGE
    every = min(settings.SESSION_RENEW_AFTER_S, idle / 4)
    return bool(time.time() - session.get(keys.RENEWED_AT, 0) >= every)


def time_left(session: SessionBase) -> TimeLeft:
    """What is left of a session of somebody who has signed in."""
    now = time.time()
    idle = session.get(keys.IDLE_S) or settings.SESSION_COOKIE_AGE
    return TimeLeft(
        idle_s=session.get(keys.RENEWED_AT, now) + idle - now,
        age_s=session.get(keys.SIGNED_IN_AT, now) + settings.SESSION_HARD_AGE_S - now,
    )


def idle_seconds(user_id: Any) -> int:
    """After how long without a person the session ends: the strictest of the person's sites."""
    sites = Site.objects.filter(memberships__user=user_id, memberships__is_active=True)
    wanted = [60 * minutes for minutes in sites.values_list("idle_minutes", flat=True) if minutes]
    return int(min([settings.SESSION_COOKIE_AGE, *wanted]))


@transaction.atomic
def end_session(*, user: User, session: Session) -> None:
    """End one of one's own sessions; its next request is that of a stranger."""
    _record(user, user, 1)
    session.delete()


@transaction.atomic
def end_sessions(*, user: User, actor: User | None = None, keep: UUID | str | None = None) -> int:
    """End all sessions of ``user`` but the one with the handle ``keep``; return how many."""
    ended = Session.objects.filter(user=user)
    if keep is not None:
        ended = ended.exclude(handle=keep)
    count = len(ended)
    if count:
        ended.delete()
        _record(actor or user, user, count)
    return count


@transaction.atomic
def end_sessions_of_member(*, actor: User, membership: Membership) -> int:
    """End all sessions of somebody who works at a site that ``actor`` manages."""
    require(actor, Permission.MANAGE_USERS, membership.site_id)
    return end_sessions(user=membership.user, actor=actor)


@transaction.atomic
def set_site_idle_time(*, actor: User, site: Site, minutes: int | None) -> Site:
    """Set after how long without a person sessions end; ``None`` follows the deployment.

    Raises ``InvalidInput`` for less than one minute and for more than the deployment allows.
    Sessions that are open follow with their next renewal.
    """
    current = Site.objects.select_for_update().get(pk=site.pk)
    require(actor, Permission.MANAGE_SITE, current.pk)
    most = settings.SESSION_COOKIE_AGE // 60
    if minutes is not None and not 1 <= minutes <= most:
        raise InvalidInput(
            _("Choose from 1 to %(most)s minutes.") % {"most": most}, field="idle_minutes"
        )
    if current.idle_minutes != minutes:
        before, current.idle_minutes = current.idle_minutes, minutes
        current.save(update_fields=("idle_minutes", "updated_at"))
        detail = {"from": before, "to": minutes}
        record("site.set_idle_time", current, site_id=current.pk, actor=actor, detail=detail)
    return current


def _record(actor: User, user: User, count: int) -> None:
    site_id = home_site_id(user)
    record("session.revoke", user, site_id=site_id, actor=actor, detail={"sessions": count})
