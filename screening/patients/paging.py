"""Pages of a long list that cost the same wherever one is in it (keyset pagination).

A list is one or more groups of rows, one after the other, each in the order of an index. A
cursor names the row at which a page ends, by its id: it carries no patient data into addresses
and logs, and stays right while rows are added.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.utils.translation import gettext as _

from screening.core.errors import InvalidInput
from screening.patients.models import Patient, PatientQuerySet

_CURSOR = re.compile(r"\A(next|previous)\.([0-9])\.([0-9a-f]{32})\Z")


@dataclass(frozen=True)
class Group:
    """The rows that meet ``condition``, in ``order`` (ascending; ``id`` comes last)."""

    condition: Q
    order: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """``next`` and ``previous`` are cursors, empty where there is nothing more."""

    patients: list[Patient]
    next: str
    previous: str


@dataclass(frozen=True)
class _Start:
    forward: bool
    group: int
    row: Patient


_Row = tuple[int, Patient]  # with the number of its group


def read_page(
    lists: Sequence[PatientQuerySet], groups: Sequence[Group], *, cursor: str, size: int
) -> Page:
    """One page of the rows of ``lists`` (one for each site, merged) in ``groups``.

    One list a site, because an index that begins with the site has an order only within it.
    Raises ``InvalidInput`` for a cursor that leads nowhere.
    """
    start = _parse(cursor, lists, len(groups)) if cursor else None
    forward = start is None or start.forward
    rows = _collect(lists, groups, start, forward=forward, limit=size + 1)
    more = len(rows) > size
    rows = rows[:size]
    if not forward:
        rows.reverse()
    has_next, has_previous = (more, start is not None) if forward else (True, more)
    return Page(
        patients=[patient for _, patient in rows],
        next=_cursor("next", rows[-1]) if rows and has_next else "",
        previous=_cursor("previous", rows[0]) if rows and has_previous else "",
    )


def _collect(
    lists: Sequence[PatientQuerySet],
    groups: Sequence[Group],
    start: _Start | None,
    *,
    forward: bool,
    limit: int,
) -> list[_Row]:
    """Up to ``limit`` rows after ``start``, going on in the next group where one is exhausted."""
    numbers = range(len(groups)) if forward else range(len(groups) - 1, -1, -1)
    if start is not None:
        numbers = range(start.group, numbers.stop, numbers.step)
    found: list[_Row] = []
    for number in numbers:
        group = groups[number]
        wanted = group.condition
        for earlier in groups[:number]:  # A row is listed once, in the first group it fits.
            wanted &= ~earlier.condition
        if start is not None and number == start.group:
            wanted &= _beyond(group.order, start.row, forward=forward)
        order = group.order if forward else tuple(f"-{name}" for name in group.order)
        missing = limit - len(found)
        merged = [row for rows in lists for row in rows.filter(wanted).order_by(*order)[:missing]]
        if len(lists) > 1:
            names = group.order
            merged.sort(key=lambda r: [getattr(r, n) for n in names], reverse=not forward)
        found += [(number, row) for row in merged[:missing]]
        if len(found) == limit:
            break
    return found


def _beyond(order: tuple[str, ...], row: Patient, *, forward: bool) -> Q:
    """The rows after ``row`` (before it, backwards), as databases compare tuples."""
    sign = "gt" if forward else "lt"
    first = order[0]
    # Says nothing new, but is a plain range of the index, where the alternatives below are not.
    bound = Q(**{f"{first}__{sign}e": getattr(row, first)})
    alternatives = Q()
    same: dict[str, object] = {}
    for name in order:
        alternatives |= Q(**same, **{f"{name}__{sign}": getattr(row, name)})
        same[name] = getattr(row, name)
    return bound & alternatives


def _cursor(direction: str, row: _Row) -> str:
    number, patient = row
    return f"{direction}.{number}.{patient.pk.hex}"


def _parse(cursor: str, lists: Sequence[PatientQuerySet], groups: int) -> _Start:
    match = _CURSOR.match(cursor)
    if match and int(match[2]) < groups:
        for rows in lists:
            row = rows.filter(pk=UUID(match[3])).first()
            if row is not None:
                return _Start(match[1] == "next", int(match[2]), row)
    raise InvalidInput(_("This page of the list is gone. Start from the first."), code="bad_cursor")
