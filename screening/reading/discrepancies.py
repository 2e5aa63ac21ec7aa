"""Second looks: readings of record that disagree with the AI, and what a colleague makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.reading.models import Discrepancy, DiscrepancyQuerySet, Verdict

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from screening.accounts.models import User

PAGE_SIZE = 50
NOTE_LENGTH = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class DiscrepancyPage:
    """One page of discrepancies and the mark that leads to the next, empty at the end."""

    rows: list[Discrepancy]
    next: str


def discrepancy_page(
    user: User | AnonymousUser, *, resolved: bool = False, after: str = ""
) -> DiscrepancyPage:
    """Those that wait, the longest first; or those resolved, the newest first (keyset)."""
    rows = _rows(user).filter(resolved_at__isnull=not resolved)
    at, key = _read_mark(after) if after else (None, None)
    if resolved:
        rows = rows.order_by("-resolved_at", "-id")
        if at:
            rows = rows.filter(Q(resolved_at__lt=at) | Q(resolved_at=at, pk__lt=key))
    else:
        rows = rows.order_by("created_at", "id")
        if at:
            rows = rows.filter(Q(created_at__gt=at) | Q(created_at=at, pk__gt=key))
    found = list(rows[: PAGE_SIZE + 1])
    more, found = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    return DiscrepancyPage(found, _mark(found[-1], resolved) if more else "")


def get_discrepancy(user: User | AnonymousUser, discrepancy_id: UUID) -> Discrepancy:
    """A discrepancy with its reading and study. Raises ``Http404``."""
    found = _rows(user).filter(pk=discrepancy_id).first()
    if found is None:
        raise Http404
    return found


@transaction.atomic
def resolve_discrepancy(
    *, actor: User, discrepancy: Discrepancy, verdict: str, note: str = ""
) -> Discrepancy:
    """Say what a second look makes of it; ``discrepancy`` was found by ``visible_to(actor)``.

    Neither the reading nor the answer changes by it. Nobody takes a second look at what they
    have read themselves.

    :raises Forbidden: the actor may not write readings here, or is the reader (``own_reading``).
    :raises InvalidInput: no verdict was chosen, or there is no note.
    :raises Conflict: ``already_resolved``.
    """
    policies.require(actor, Permission.WRITE_READINGS, discrepancy.site_id)
    row = Discrepancy.objects.select_for_update().get(pk=discrepancy.pk)
    if row.resolved_at is not None:
        raise Conflict(
            _("Somebody has taken this second look in the meantime."), code="already_resolved"
        )
    if row.reading.reader_id == actor.pk:
        raise Forbidden(
            _("You have read this study yourself; the second look is a colleague’s."),
            code="own_reading",
        )
    if verdict not in Verdict.values:
        raise InvalidInput(_("Choose what you agree with."), field="verdict")
    note = note.replace("\r\n", "\n").strip()
    if not note:
        raise InvalidInput(_("Say in a few words what you see."), field="note")
    if len(note) > NOTE_LENGTH or "\x00" in note:
        raise InvalidInput(
            _("Use at most %(count)s characters.") % {"count": NOTE_LENGTH}, field="note"
        )
    row.resolved_at, row.resolved_by = timezone.now(), actor
    row.verdict, row.note = verdict, note
    row.save()
    record(
        "discrepancy.resolve",
        row,
        actor=actor,
        detail={"study": str(row.reading.study_id), "verdict": verdict},
    )
    return row


def _rows(user: User | AnonymousUser) -> DiscrepancyQuerySet:
    return Discrepancy.objects.visible_to(user).select_related(
        "reading__study__patient", "reading__reader", "resolved_by"
    )


def _mark(row: Discrepancy, resolved: bool) -> str:
    at = row.resolved_at if resolved and row.resolved_at else row.created_at
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}-{row.pk.hex}"


def _read_mark(mark: str) -> tuple[datetime, UUID]:
    try:
        micros, _dash, key = mark.partition("-")
        return _EPOCH + timedelta(microseconds=int(micros)), UUID(key)
    except (ValueError, OverflowError):
        raise InvalidInput(
            _("The address names a page that does not exist; start from the first."),
            code="unknown_page",
        ) from None
