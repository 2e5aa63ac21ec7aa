"""Chains to break, and the rights of somebody who owns the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from screening.audit import triggers
from screening.audit.canonical import chained
from screening.audit.findings import Finding
from screening.audit.models import BEFORE_THE_FIRST, Event, Link
from screening.audit.verification import run_check, start_check


def as_committed() -> None:
    """Let the database do what it does at a commit, inside a test's transaction."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


@contextmanager
def without_triggers() -> Iterator[None]:
    """What an owner of the database does first."""
    as_committed()
    triggers.drop(connection)
    triggers.drop_chain(connection)
    try:
        yield
    finally:
        triggers.install(connection)


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def findings(*, full: bool = True) -> list[Finding]:
    """What a verification finds, read to the end."""
    as_committed()
    check = start_check(full=full)
    assert run_check(check)
    return [Finding.from_json(stored) for stored in check.findings]


def rewrite(first: int, chain: Any) -> None:
    """Compute the chain anew from the place ``first`` on, as it would be had all been so."""
    before = Link.objects.filter(chain=chain, sequence__lt=first).order_by("-sequence").first()
    previous = before.hash if before is not None else BEFORE_THE_FIRST
    for link in Link.objects.filter(chain=chain, sequence__gte=first).order_by("sequence"):
        event = Event.objects.get(pk=link.event_id)
        event.seal()
        event.save()
        link.previous, link.hash = previous, chained(previous, event.digest)
        link.save()
        previous = link.hash
