"""The audit as a file: a table for people, or lines that anybody can verify."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from screening.audit.canonical import FIELDS, canonical_line
from screening.audit.models import Event, Link
from screening.oversight.words import words_for

Row = tuple[Event, Link | None]

HEADING = (
    "number",
    "time",
    "who",
    "what",
    "action",
    "outcome",
    "object type",
    "object",
    "patient",
    "site",
    "from",
    "request",
    "token",
    "owner",
    "detail",
    "place in the chain",
    "hash",
)


def csv_rows(rows: Iterable[Row]) -> Iterator[list[Any]]:
    """Times are UTC, as ISO 8601 writes them."""
    for event, link in rows:
        yield [
            event.pk,
            event.at.isoformat(),
            event.actor_name,
            words_for(event.action),
            event.action,
            event.outcome,
            event.object_type,
            event.object_id,
            event.patient_id or "",
            event.site_id or "",
            event.remote_addr or "",
            event.request_id,
            event.token_id or "",
            event.owner_id or "",
            json.dumps(event.detail, sort_keys=True) if event.detail else "",
            link.sequence if link is not None else "",
            link.hash if link is not None else "",
        ]


def json_lines(rows: Iterable[Row]) -> Iterator[str]:
    """One object a line: the fields, the canonical form, and the links of the chain.

    SHA-256 of ``canonical`` is ``digest``, and SHA-256 of ``previous`` and ``digest`` one after
    the other is ``hash``.
    """
    for event, link in rows:
        line: dict[str, Any] = {"number": event.pk}
        for name in FIELDS:
            value = getattr(event, name)
            plain = value is None or isinstance(value, str | int | dict)
            line[name] = value if plain else value.isoformat() if name == "at" else str(value)
        line["canonical"] = canonical_line(event.values())
        line["digest"] = event.digest
        line["chain"] = str(link.chain) if link is not None else None
        line["sequence"] = link.sequence if link is not None else None
        line["previous"] = link.previous if link is not None else None
        line["hash"] = link.hash if link is not None else None
        yield json.dumps(line) + "\n"
