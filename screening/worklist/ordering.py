"""The order of the list, and pages of it that cost the same wherever one is.

The place of a study is ``arrived_at``, less the site's cap where the AI flagged it and the site
lets flags go first; ties go by key. So a flagged study overtakes only what arrived less than the
cap before it, and once a study has waited for the cap nothing that comes later is put before it.
In a queue that is worked through without pause, a study that is not flagged therefore waits no
longer than the cap, plus what one that came at the end of its cap would wait in plain order of
arrival (``tests/worklist/test_ordering.py`` holds that against simulated queues).

Nothing of this is stored. Flagged studies and the others are two runs of an index, each in order
of arrival, and a page is merged from the heads of the runs. So a changed rule costs nothing, and
someone who must not see flags is served from one run that knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from screening.core.errors import InvalidInput
from screening.worklist.models import Entry

EntryRows = QuerySet[Entry, Entry]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Place:
    """Where in the list an entry stands; smaller is earlier."""

    at: datetime
    study: UUID

    def mark(self) -> str:
        """The place as part of an address: microseconds since 1970, and the study's key."""
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}-{self.study.hex}"

    @classmethod
    def read(cls, mark: str) -> Place:
        """Raises ``InvalidInput`` for what is no mark."""
        micros, _dash, key = mark.partition("-")
        try:
            return cls(_EPOCH + timedelta(microseconds=int(micros)), UUID(key))
        except (ValueError, OverflowError):
            raise InvalidInput(
                _("This page of the list is gone. Start from the first."), code="bad_cursor"
            ) from None


@dataclass(frozen=True)
class Run:
    """Entries of one site in the order of arrival, all put forward by the same time."""

    entries: EntryRows
    ahead: timedelta = timedelta(0)

    def place(self, entry: Entry) -> Place:
        return Place(entry.arrived_at - self.ahead, entry.pk)

    def head(self, limit: int, *, beyond: Place | None, forward: bool) -> list[Entry]:
        """The first ``limit`` entries beyond a place, in the direction asked for."""
        rows = self.entries
        if beyond is not None:
            rows = rows.filter(_beyond(beyond, self.ahead, forward=forward))
        order = ("arrived_at", "study_id") if forward else ("-arrived_at", "-study_id")
        return list(rows.order_by(*order)[:limit])


def _beyond(place: Place, ahead: timedelta, *, forward: bool) -> Q:
    try:
        at = place.at + ahead
    except OverflowError:
        return Q(pk__in=())
    if forward:
        # The first part says nothing new, but is a plain range of the index.
        return Q(arrived_at__gte=at) & (
            Q(arrived_at__gt=at) | Q(arrived_at=at, study_id__gt=place.study)
        )
    return Q(arrived_at__lte=at) & (
        Q(arrived_at__lt=at) | Q(arrived_at=at, study_id__lt=place.study)
    )


@dataclass(frozen=True)
class Page:
    """One page of the list; ``next`` and ``previous`` are marks, empty where nothing follows."""

    entries: list[Entry]
    next: str = ""
    previous: str = ""


def merged(
    runs: Sequence[Run], limit: int, *, beyond: Place | None = None, forward: bool = True
) -> list[tuple[Place, Entry]]:
    """The first ``limit`` entries of all runs together, beyond a place."""
    found = [
        (run.place(entry), entry)
        for run in runs
        for entry in run.head(limit, beyond=beyond, forward=forward)
    ]
    found.sort(key=lambda row: row[0], reverse=not forward)
    return found[:limit]


def read_page(runs: Sequence[Run], *, after: str = "", before: str = "", size: int) -> Page:
    """One page after one mark or before another; the first page without either."""
    forward = bool(after) or not before
    mark = after or before
    found = merged(runs, size + 1, beyond=Place.read(mark) if mark else None, forward=forward)
    more = len(found) > size
    found = found[:size]
    if not forward:
        found.reverse()
    has_next, has_previous = (more, bool(mark)) if forward else (True, more)
    return Page(
        entries=[entry for _place, entry in found],
        next=found[-1][0].mark() if found and has_next else "",
        previous=found[0][0].mark() if found and has_previous else "",
    )
