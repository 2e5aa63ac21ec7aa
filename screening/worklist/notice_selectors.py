"""Reading notifications."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from screening.accounts.models import User
from screening.worklist.models import Notification
from screening.worklist.ordering import Place

PAGE_SIZE = 50
COUNT_TO = 100


@dataclass(frozen=True)
class NotificationPage:
    """One page, newest first; ``older`` is the mark of the next, empty at the end."""

    notifications: list[Notification]
    older: str = ""


def notification_page(user: User | AnonymousUser, *, before: str = "") -> NotificationPage:
    """What ``user`` was told, newest first, from the mark ``before`` on."""
    rows = Notification.objects.visible_to(user).select_related("study__patient", "caused_by")
    if before:
        mark = Place.read(before)
        rows = rows.filter(at__lte=mark.at).filter(
            Q(at__lt=mark.at) | Q(at=mark.at, pk__lt=mark.study)
        )
    found = list(rows.order_by("-at", "-id")[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    older = Place(shown[-1].at, shown[-1].pk).mark() if len(found) > PAGE_SIZE else ""
    return NotificationPage(shown, older)


def unread_notifications(user: User | AnonymousUser) -> int:
    """How many are unread, counted no further than ``COUNT_TO``."""
    rows = Notification.objects.visible_to(user).filter(read_at=None)
    return rows.order_by()[:COUNT_TO].count()
