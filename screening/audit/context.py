"""Who is acting and from where, for the length of one request or one task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Origin:
    """The part of an audit event that is the same for everything done in one request."""

    actor_id: UUID | None = None
    actor_name: str = ""
    request_id: str = ""
    remote_addr: str | None = None


SYSTEM = Origin(actor_name="system")
_current: ContextVar[Origin] = ContextVar("audit_origin", default=SYSTEM)


def current_origin() -> Origin:
    return _current.get()


@contextmanager
def acting_as(origin: Origin) -> Iterator[None]:
    """Attribute everything recorded inside the block to ``origin``."""
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)
