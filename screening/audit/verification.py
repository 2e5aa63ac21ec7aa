"""Is the audit as it was written? Names the first event of each chain that is not.

Reads in batches with constant memory, one chain after the other, and takes no lock: events that
are recorded meanwhile are read or left for the next time. What was verified up to the last time
need not be read again (a quick run), but only a full run notices what has been changed since in
events verified before.

A chain shows every change inside it, but not that its end is missing, nor that all of it was
computed anew by somebody who can write to the database and drop its triggers. That is what anchors
are for: the heads of the chains as they were, kept elsewhere (``screening.audit.anchors``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from screening.audit.anchors import Anchor, AnchorsUnreadable, read_anchors
from screening.audit.canonical import FIELDS, chained, digest_of
from screening.audit.findings import Finding, Kind
from screening.audit.models import BEFORE_THE_FIRST, NO_SITE, Check, Event, Link

BATCH = 5000
_SITE = FIELDS.index("site_id")
_EVENTS_READ = "events"  # The key of ``Check.places`` for the search of events without a place.


@dataclass
class Place:
    """Up to where a chain has been read."""

    sequence: int = 0
    hash: str = BEFORE_THE_FIRST
    before: str = ""  # The hash of the place before that one.


def chains() -> list[UUID]:
    """Every chain that has an event, found without reading them all."""
    found: list[UUID] = []
    while True:
        rest = Link.objects.filter(chain__gt=found[-1]) if found else Link.objects.all()
        chain = rest.order_by("chain").values_list("chain", flat=True).first()
        if chain is None:
            return found
        found.append(chain)


def start_check(*, full: bool) -> Check:
    """A new run; a quick one begins where the last finished one ended."""
    last = Check.objects.exclude(finished_at=None).first()
    return Check.objects.create(full=full, places={} if full or last is None else last.places)


def run_check(check: Check, *, seconds: float | None = None) -> bool:
    """Go on with ``check`` for about so long; return whether it is finished."""
    until = time.monotonic() + seconds if seconds is not None else None
    try:
        anchors = read_anchors()
    except AnchorsUnreadable as error:
        anchors = {}
        unreadable = Finding(NO_SITE, Kind.ANCHORS, more=(("why", str(error)),)).as_json()
        if unreadable not in check.findings:
            check.findings.append(unreadable)
    broken = {found["chain"] for found in check.findings if found["kind"] != Kind.ANCHORS}
    for chain in sorted({*chains(), *anchors}):
        if str(chain) in broken:
            continue
        place = Place(*check.places.get(str(chain), ()))
        for step in verify_chain(chain, place, anchors.get(chain, {})):
            if step.finding is not None:
                check.findings.append(step.finding.as_json())
                break
            check.events += step.events
            check.places[str(chain)] = [place.sequence, place.hash, place.before]
            if until is not None and time.monotonic() > until:
                check.save()
                return False
    for last, finding in verify_no_strangers(check.places.get(_EVENTS_READ, 0)):
        if finding is not None:
            check.findings.append(finding.as_json())
            break
        check.places[_EVENTS_READ] = last
        if until is not None and time.monotonic() > until:
            check.save()
            return False
    check.finished_at = timezone.now()
    check.save()
    return True


@dataclass(frozen=True)
class Step:
    """So many events were found intact; or the first that is not."""

    events: int = 0
    finding: Finding | None = None


def verify_chain(chain: UUID, place: Place, anchors: Mapping[int, Anchor]) -> Iterator[Step]:
    """Read a chain from behind ``place``, which moves along, and end at the first finding.

    ``anchors`` are what was kept elsewhere, by their place in the chain.
    """
    finding = _first_lie(chain, place, anchors)
    if finding is not None:
        yield Step(finding=finding)
        return
    while True:
        links = list(
            Link.objects.filter(chain=chain, sequence__gt=place.sequence)
            .order_by("sequence")
            .values_list("sequence", "event_id", "previous", "hash")[:BATCH]
        )
        if not links:
            break
        events = {
            row[0]: row
            for row in Event.objects.filter(pk__in=[link[1] for link in links])
            .order_by()
            .values_list("pk", "digest", *_columns())
        }
        for link in links:
            finding = _judge(chain, place, link, events.get(link[1]))
            if finding is None and link[0] in anchors and anchors[link[0]].hash != link[3]:
                finding = _rewritten(chain, anchors, anchors[link[0]])
            if finding is not None:
                yield Step(finding=finding)
                return
            place.before, place.sequence, place.hash = place.hash, link[0], link[3]
        yield Step(events=len(links))
    if anchors and max(anchors) > place.sequence:
        yield Step(finding=_cut(chain, anchors, place.sequence))


def verify_no_strangers(after: int) -> Iterator[tuple[int, Finding | None]]:
    """Look for events that have no place in any chain, in ranges of their numbers."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    chained_one = Link.objects.filter(event_id=OuterRef("pk"))
    while after < newest:
        upto = min(after + 10 * BATCH, newest)
        rows = Event.objects.filter(~Exists(chained_one), pk__gt=after, pk__lte=upto)
        stranger = rows.order_by("pk").values_list("pk", "site_id").first()
        if stranger is not None:
            chain = stranger[1] or NO_SITE
            yield after, Finding(chain, Kind.UNCHAINED, event=stranger[0])
            return
        after = upto
        yield after, None


def _judge(
    chain: UUID, place: Place, link: tuple[int, int, str, str], event: Sequence[Any] | None
) -> Finding | None:
    """What is wrong at the place after ``place``, if anything."""
    sequence, event_id, previous, stored = link
    if sequence != place.sequence + 1:
        return Finding(chain, Kind.MISSING, place.sequence + 1, more=(("event", "?"),))
    if event is None:
        return Finding(chain, Kind.MISSING, sequence, event_id)
    digest, values = event[1], _read(event[2:])
    if digest_of(values) != digest:
        return Finding(chain, Kind.ALTERED, sequence, event_id)
    if str(values[_SITE] or NO_SITE) != str(chain):
        return Finding(chain, Kind.REPLACED, sequence, event_id)
    if previous == place.hash and chained(previous, digest) == stored:
        return None
    return _explain(chain, place, link, digest)


def _columns() -> list[str | Cast]:
    """What is asked of an event. PostgreSQL hands it out as it is hashed: half the work saved."""
    if connection.vendor != "postgresql":
        return list(FIELDS)
    as_text = {"uuid", "detail", *(name for name in FIELDS if name.endswith("_id"))}
    return [Cast(name, TextField()) if name in as_text else name for name in FIELDS]


def _read(values: Sequence[Any]) -> Sequence[Any]:
    return values if isinstance(values[-1], dict) else [*values[:-1], _detail(values[-1])]


@lru_cache(maxsize=4096)
def _detail(text: str) -> Any:
    """Most events say one of a few things."""
    return json.loads(text)


def _explain(chain: UUID, place: Place, link: tuple[int, int, str, str], digest: str) -> Finding:
    """Why a sound event does not fit its place. Reads the chain once more, since it is broken."""
    sequence, event_id, previous, stored = link
    places = Link.objects.filter(chain=chain)
    is_sound = chained(previous, digest) == stored
    # Does a later one follow the place before? Then this one was put between, or changed places.
    later = places.filter(previous=place.hash, sequence__gt=sequence).first()
    if later is not None:
        if is_sound and previous != place.hash and places.filter(hash=previous).exists():
            return Finding(chain, Kind.SWAPPED, sequence, event_id, _other(later))
        return Finding(chain, Kind.INSERTED, sequence, event_id)
    if previous != place.hash:
        # Does this one follow an earlier place? Then what stands between was put there.
        earlier = places.filter(hash=previous, sequence__lt=sequence - 1).first()
        if earlier is None and previous == BEFORE_THE_FIRST:
            earlier = Link(sequence=0)
        if earlier is not None and is_sound:
            first = places.get(sequence=earlier.sequence + 1)
            return Finding(chain, Kind.INSERTED, first.sequence, first.event_id)
        return Finding(chain, Kind.REMOVED, sequence, event_id)
    for other_event, other_digest in _digests(chain):
        if other_event != event_id and chained(previous, other_digest) == stored:
            home = places.filter(event_id=other_event).first()
            return Finding(chain, Kind.SWAPPED, sequence, event_id, _other(home))
    return Finding(chain, Kind.REPLACED, sequence, event_id)


def _other(link: Link | None) -> tuple[tuple[str, str], ...]:
    return (("other", str(link.sequence) if link is not None else "?"),)


def _digests(chain: UUID) -> Iterator[tuple[int, str]]:
    site = None if chain == NO_SITE else chain
    last = 0
    while True:
        rows = Event.objects.filter(site_id=site, pk__gt=last).order_by("pk")
        batch = list(rows.values_list("pk", "digest")[: 10 * BATCH])
        yield from batch
        if not batch:
            return
        last = batch[-1][0]


def _first_lie(chain: UUID, place: Place, anchors: Mapping[int, Anchor]) -> Finding | None:
    """Whether what a quick run takes for verified is still what it was."""
    if place.sequence == 0:
        return None
    hashes = dict(
        Link.objects.filter(
            chain=chain, sequence__in=[place.sequence, *_newest_of(anchors, place.sequence)]
        ).values_list("sequence", "hash")
    )
    for sequence in _newest_of(anchors, place.sequence):
        if sequence not in hashes:
            return _cut(chain, anchors, _length(chain))
        if hashes[sequence] != anchors[sequence].hash:
            return _rewritten(chain, anchors, anchors[sequence])
    if place.sequence not in hashes:
        return Finding(chain, Kind.MISSING, place.sequence, more=(("event", "?"),))
    if hashes[place.sequence] != place.hash:
        event = Link.objects.get(chain=chain, sequence=place.sequence).event_id
        return Finding(chain, Kind.REPLACED, place.sequence, event)
    return None


def _newest_of(anchors: Mapping[int, Anchor], upto: int) -> list[int]:
    """The last anchored place among those that a quick run does not read again."""
    known = [sequence for sequence in anchors if sequence <= upto]
    return [max(known)] if known else []


def _length(chain: UUID) -> int:
    head = Link.objects.filter(chain=chain).order_by("-sequence").first()
    return head.sequence if head is not None else 0


def _cut(chain: UUID, anchors: Mapping[int, Anchor], length: int) -> Finding:
    first = anchors[min(sequence for sequence in anchors if sequence > length)]
    more = (("at", first.at), ("length", str(length)))
    return Finding(chain, Kind.CUT, first.sequence, more=more)


def _rewritten(chain: UUID, anchors: Mapping[int, Anchor], anchor: Anchor) -> Finding:
    sound = [
        sequence
        for sequence in anchors
        if sequence < anchor.sequence
        and Link.objects.filter(
            chain=chain, sequence=sequence, hash=anchors[sequence].hash
        ).exists()
    ]
    more = (("at", anchor.at), ("since", str(max(sound, default=0) + 1)))
    return Finding(chain, Kind.REWRITTEN, anchor.sequence, more=more)
