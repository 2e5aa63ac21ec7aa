"""What templates need of the worklist: the bell's number, and how long something has waited."""

from __future__ import annotations

from datetime import timedelta

from django import template
from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext as _

from screening.accounts.models import User
from screening.worklist.notice_selectors import unread_notifications

register = template.Library()


@register.simple_tag
def unread_count(user: User | AnonymousUser | str | None) -> int:
    """How many notifications are unread; pages drawn outside a request have no user."""
    return unread_notifications(user) if isinstance(user, User) else 0


@register.filter
def capped(count: int, limit: int) -> str:
    """A number that was counted no further than ``limit``: ``"42"``, ``"99+"``."""
    return f"{limit - 1}+" if count >= limit else str(count)


@register.filter
def lasted(span: timedelta | None) -> str:
    """``"less than a minute"``, ``"12 min"``, ``"3 h 20 min"``, ``"2 days 4 h"``."""
    if span is None:
        return ""
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return _("less than a minute")
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        said = _("1 day") if days == 1 else _("%(days)d days") % {"days": days}
        return f"{said} {_('%(hours)d h') % {'hours': hours}}" if hours else said
    if hours:
        said = _("%(hours)d h") % {"hours": hours}
        return f"{said} {_('%(minutes)d min') % {'minutes': minutes}}" if minutes else said
    return _("%(minutes)d min") % {"minutes": minutes}
