"""The one written form of an event, and its fingerprint.

Everything that an event says goes into one line of JSON, and SHA-256 of that line is the event's
digest. The form is the same whichever database the event was read from: PostgreSQL writes numbers
and addresses anew when it stores them. Whoever has an export can compute it without the portal
(``docs/operating.md`` spells it out), so it must never change; ``VERSION`` is part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from uuid import UUID

VERSION = 1
FIELDS = (
    "uuid",
    "at",
    "site_id",
    "actor_id",
    "actor_name",
    "token_id",
    "owner_id",
    "action",
    "object_type",
    "object_id",
    "patient_id",
    "outcome",
    "request_id",
    "remote_addr",
    "detail",
)
"""The order in which the form names what an event says."""

# Larger whole numbers than this are not told apart by every reader of JSON.
_EXACT = 2**53
_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


def canonical_line(values: Sequence[Any]) -> str:
    """The written form of an event whose ``FIELDS`` have these values."""
    uuid, at, site, actor, name, token, owner, action, kind, key, patient, outcome, *rest = values
    request_id, remote_addr, detail = rest
    return _encode(
        [
            VERSION,
            str(uuid),
            _moment(at),
            _uuid(site),
            _uuid(actor),
            name,
            _uuid(token),
            _uuid(owner),
            action,
            kind,
            key,
            _uuid(patient),
            str(outcome),
            request_id,
            packed_address(remote_addr),
            _plain(detail) if detail else {},
        ]
    )


def digest_of(values: Sequence[Any]) -> str:
    """SHA-256 of the canonical line, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_line(values).encode("ascii")).hexdigest()


def chained(previous: str, digest: str) -> str:
    """The hash of the event with ``digest`` after the one whose hash is ``previous``."""
    return hashlib.sha256((previous + digest).encode("ascii")).hexdigest()


@lru_cache(maxsize=1024)
def packed_address(address: str | None) -> str | None:
    """The bytes of an IP address in hexadecimal: their spelling differs between programs."""
    return ip_address(address).packed.hex() if address else None


def _moment(at: datetime) -> str:
    """UTC, always with six digits of a second."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _uuid(value: UUID | None) -> str | None:
    return str(value) if value is not None else None


def _plain(value: Any) -> Any:
    """``value`` with each number in the one spelling that survives a database."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if abs(value) > _EXACT:
        return float(value)
    return int(value) if value == int(value) else value
