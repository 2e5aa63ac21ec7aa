"""The audit: the installed one is read and verified, a copy of one is tampered with."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.db import DatabaseError, connection, transaction

from portal.selftest.registry import Bench, Outcome, failed, passed, self_check
from screening.audit import triggers
from screening.audit.anchors import AnchorsUnreadable, read_anchors
from screening.audit.findings import Finding
from screening.audit.models import Event, Link
from screening.audit.verification import Place, chains, verify_chain, verify_no_strangers

PATIENCE_S = 60


@self_check(
    "audit-chain",
    "The installed audit is as it was written",
    asvs=("V16.4", "V16.2"),
    hipaa=("164.312(b)", "164.312(c)(1)"),
)
def installed_audit_holds(bench: Bench) -> Outcome:
    """Reads from the beginning for at most a minute; ``verify_audit`` reads to the end."""
    try:
        anchors = read_anchors()
    except AnchorsUnreadable as error:
        return failed(f"The anchors cannot be read: {error}.")
    events, until, known = 0, time.monotonic() + PATIENCE_S, chains()
    for chain in known:
        for step in verify_chain(chain, Place(), anchors.get(chain, {})):
            if step.finding is not None:
                return failed(str(step.finding.sentence), events=events)
            events += step.events
            if time.monotonic() > until:
                return passed(
                    f"The first {events:,} events hold; verify_audit reads the rest.", events=events
                )
    strangers = [finding for _, finding in verify_no_strangers(0) if finding is not None]
    if strangers:
        return failed(str(strangers[0].sentence), events=events)
    return passed(f"{events:,} events in {len(known)} chains, each in its place.", events=events)


@self_check(
    "audit-tampering",
    "An altered, missing, inserted or swapped event is named",
    asvs=("V16.4",),
    hipaa=("164.312(b)", "164.312(c)(1)", "164.312(c)(2)"),
    needs_scratch=True,
)
def tampering_is_noticed(bench: Bench) -> Outcome:
    chain = bench.scratch.north.pk
    if _first_finding(chain) is not None:
        return failed("The scratch portal's audit does not hold before it is tampered with.")
    missed, let = [], []
    drills: dict[str, Callable[[list[Link]], None]] = {
        "one byte altered": _alter,
        "an event deleted": _delete,
        "an event inserted": _insert,
        "two events swapped": _swap,
    }
    for name, tamper in drills.items():
        # Whoever may add events may add a false one; the chain names it.
        if tamper is not _insert and not _is_refused(partial(tamper, _links(chain))):
            let.append(name)
        with transaction.atomic():
            savepoint = transaction.savepoint()
            _settle()
            triggers.drop(connection)
            triggers.drop_chain(connection)
            tamper(_links(chain))
            if _first_finding(chain) is None:
                missed.append(name)
            transaction.savepoint_rollback(savepoint)
    if missed or let:
        said = [f"not noticed: {', '.join(missed)}"] if missed else []
        said += [f"the database did not refuse: {', '.join(let)}"] if let else []
        return failed("; ".join(said), drills=len(drills), missed=len(missed))
    return passed(
        "The database refuses to change events; done past its triggers, each change was named.",
        drills=len(drills),
        events=Link.objects.filter(chain=chain).count(),
    )


def _settle() -> None:
    """PostgreSQL drops no trigger of a table with checks that are still due."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def _is_refused(change: Callable[[], None]) -> bool:
    """Whether the database lets nobody do that; undone where it does."""
    try:
        with transaction.atomic():
            change()
            transaction.set_rollback(True)
    except DatabaseError:
        return True
    return False


def _first_finding(chain: UUID) -> Finding | None:
    for step in verify_chain(chain, Place(), {}):
        if step.finding is not None:
            return step.finding
    return next((finding for _, finding in verify_no_strangers(0) if finding is not None), None)


def _links(chain: UUID) -> list[Link]:
    return list(Link.objects.filter(chain=chain).order_by("sequence"))


def _sql(statement: str, *values: int | str | UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _alter(links: list[Link]) -> None:
    _sql("UPDATE audit_event SET action = 'patient.forget' WHERE id = %s", links[1].event_id)


def _delete(links: list[Link]) -> None:
    _sql("DELETE FROM audit_event WHERE id = %s", links[1].event_id)


def _insert(links: list[Link]) -> None:
    event = Event.objects.get(pk=links[1].event_id)
    event.pk = None
    event.save(force_insert=True)


def _swap(links: list[Link]) -> None:
    one, other = links[1], links[2]
    spare = max(link.event_id for link in links) + 10**6
    table = Link._meta.db_table
    move = f'UPDATE "{table}" SET event_id = %s WHERE chain = %s AND sequence = %s'  # noqa: S608
    for event, place in ((spare, one), (one.event_id, other), (other.event_id, one)):
        _sql(move, event, _key(place.chain), place.sequence)


def _key(chain: UUID) -> str:
    return str(chain) if connection.vendor == "postgresql" else chain.hex
