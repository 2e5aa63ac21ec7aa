"""Whose rows PostgreSQL shows to the request at hand: site isolation a second time.

Migrations, workers, the scheduler and commands work as the owner of the tables, whom nothing
limits. A web request works under a second role, bound by the policies of ``row_policies``, with the
person's sites in a session setting. So a filter forgotten in Python shows nothing of another site,
and before the person is known nothing at all. SQLite has none of this: there the context is kept,
because ``accounts.policies`` reads it, and the database is told nothing.

It guards against our own mistakes, not against somebody who can send statements of their own: those
could put the role down.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from screening.core.row_rules import PATIENTS, PERSON, SITES

logger = logging.getLogger(__name__)

REQUIRED, ON, OFF = "required", "on", "off"
_TELL = ", ".join(f"set_config('{name}', %s, false)" for name in (PERSON, SITES, PATIENTS, "role"))


@dataclass(frozen=True)
class Reach:
    """What one request may touch: the rows of ``sites``, and to read those of ``patients`` too.

    ``patients`` are single records of other sites, opened by the person in an emergency.
    """

    person: UUID | None = None
    sites: frozenset[UUID] = frozenset()
    patients: frozenset[UUID] = frozenset()


NOTHING = Reach()
# None stands for the owner of the tables: no request is at hand.
_reach: ContextVar[Reach | None] = ContextVar("row_reach", default=None)
_usable_roles: set[tuple[str, str]] = set()


def current_reach() -> Reach | None:
    """The reach of the request at hand; None outside requests, where nothing is limited."""
    return _reach.get()


@contextmanager
def limited_to(reach: Reach) -> Iterator[None]:
    """Everything asked of the database inside the block is limited to ``reach``.

    The connection may live on after a request: on leaving, whatever happened, it is given back as
    it was, or closed where that can't be done.
    """
    before = _reach.get()
    _enter(reach)
    try:
        yield
    finally:
        _leave(before)


@contextmanager
def lifted() -> Iterator[None]:
    """Inside the block a request is not limited, like a worker.

    For the few questions that cross the border between sites by design; ``tests/core`` lists every
    use with its reason. Keep the block as small as the question.
    """
    before = _reach.get()
    if before is None:
        yield
        return
    _enter(None)
    try:
        yield
    finally:
        _leave(before)


def widen(
    *, person: UUID, sites: Iterable[UUID] | None = None, patients: Iterable[UUID] | None = None
) -> None:
    """Say who makes the request at hand, once that is known. Does nothing outside requests."""
    reach = _reach.get()
    if reach is None:
        return
    changed = replace(
        reach if reach.person == person else NOTHING,
        person=person,
        **({} if sites is None else {"sites": frozenset(sites)}),
        **({} if patients is None else {"patients": frozenset(patients)}),
    )
    if changed != reach:
        _enter(changed)


def is_wanted(of: BaseDatabaseWrapper | None = None) -> bool:
    """Whether the database is one that can limit requests, and is meant to."""
    return (of or connection).vendor == "postgresql" and settings.DATABASE_ROW_SECURITY != OFF


def is_enforced() -> bool:
    """Whether web requests are in fact limited by the database."""
    try:
        return is_wanted() and role_is_usable(connection)
    except DatabaseError:
        return False


def web_role(of: BaseDatabaseWrapper) -> str:
    """The role under which web requests work, by default the owner's name with ``_web``."""
    chosen: str = settings.DATABASE_WEB_ROLE
    if chosen:
        return chosen
    of.ensure_connection()
    return f"{of.connection.info.user}_web"


def role_is_usable(of: BaseDatabaseWrapper) -> bool:
    """Whether the database knows the role, and lets us take it."""
    role = web_role(of)
    known = (str(of.settings_dict["NAME"]), role)
    if known in _usable_roles:
        return True
    wanted = "SET" if of.connection.info.server_version >= 160000 else "MEMBER"
    with of.wrap_database_errors, of.connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_or(pg_has_role(session_user, oid, %s)) FROM pg_roles WHERE rolname = %s",
            [wanted, role],
        )
        usable = bool(cursor.fetchone()[0])
    if usable:
        _usable_roles.add(known)
    return usable


def _enter(reach: Reach | None) -> None:
    before = _reach.get()
    _reach.set(reach)
    try:
        # A connection that went stale since the last request is given up here, not met by a query.
        connection.close_if_health_check_failed()
        if connection.connection is not None:
            _tell(connection, reach)
    except BaseException:
        _leave(before)
        raise


def _leave(before: Reach | None) -> None:
    _reach.set(before)
    if connection.connection is None:
        return
    try:
        _tell(connection, before)
    except DatabaseError:
        # Inside a transaction that failed: its end takes back what was set within it.
        if not connection.in_atomic_block:
            connection.close()


def _tell(of: BaseDatabaseWrapper, reach: Reach | None) -> None:
    if not is_wanted(of):
        return
    role = "none"
    if reach is not None:
        if role_is_usable(of) or settings.DATABASE_ROW_SECURITY == REQUIRED:
            role = web_role(of)
        else:
            logger.warning("web requests are not limited: the role %s is missing", web_role(of))
    given = reach or NOTHING
    values = [str(given.person or ""), _listed(given.sites), _listed(given.patients), role]
    # Not a cursor of Django's: settings are no queries of the page, in counts and logs.
    with of.wrap_database_errors, of.connection.cursor() as cursor:
        cursor.execute(f"SELECT {_TELL}", values)


def _listed(keys: frozenset[UUID]) -> str:
    return "{" + ",".join(sorted(str(key) for key in keys)) + "}"


def tell_new_connection(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """A connection that is made within a request, the first or after a loss, is limited at once."""
    reach = _reach.get()
    if reach is not None and connection.alias == "default":
        _tell(connection, reach)
