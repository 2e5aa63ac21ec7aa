"""Who is acting and from where, for the length of one request or one task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Origin:
    """The part of an audit event that is the same for everything done in one request.

    ``site_id`` is the actor's own site, for acts on things that belong to no site. ``token_id``
    is the API token that was used, ``owner_id`` the person who answers for the service account
    behind it.
    """

    actor_id: UUID | None = None
    actor_name: str = ""
    request_id: str = ""
    remote_addr: str | None = None
    site_id: UUID | None = None
    token_id: UUID | None = None
    owner_id: UUID | None = None


SYSTEM = Origin(actor_name="system")
# A question, not an answer: who acts may only be settled inside the request (a log-in, an API
# token), and asking for it costs a look at the session that most requests need not pay here.
_current: ContextVar[Callable[[], Origin]] = ContextVar("audit_origin", default=lambda: SYSTEM)


def current_origin() -> Origin:
    return _current.get()()


@contextmanager
def acting_as(origin: Origin | Callable[[], Origin]) -> Iterator[None]:
    """Attribute everything recorded inside the block to ``origin`` (or what it then returns)."""
    ask = origin if callable(origin) else lambda: origin
    token = _current.set(ask)
    try:
        yield
    finally:
        _current.reset(token)


_counted: ContextVar[list[str] | None] = ContextVar("audit_counted", default=None)


@contextmanager
def counting() -> Iterator[list[str]]:
    """Yields a list to which every act recorded inside the block is added."""
    recorded: list[str] = []
    token = _counted.set(recorded)
    try:
        yield recorded
    finally:
        _counted.reset(token)


def count(action: str) -> None:
    recorded = _counted.get()
    if recorded is not None:
        recorded.append(action)
