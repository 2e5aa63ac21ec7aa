"""What can be wrong with the audit, in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Kind(StrEnum):
    ALTERED = "altered"
    REPLACED = "replaced"
    MISSING = "missing"
    REMOVED = "removed"
    INSERTED = "inserted"
    UNCHAINED = "unchained"
    SWAPPED = "swapped"
    CUT = "cut"
    REWRITTEN = "rewritten"
    ANCHORS = "anchors"


SENTENCES: dict[Kind, Promise] = {
    Kind.ALTERED: _(
        "Event %(event)s at place %(place)s was altered: it no longer has the fingerprint with "
        "which it was written."
    ),
    Kind.REPLACED: _(
        "Event %(event)s at place %(place)s was altered or replaced, its fingerprint with it: "
        "it does not have the hash of its place in the chain."
    ),
    Kind.MISSING: _("The event at place %(place)s (number %(event)s) is missing."),
    Kind.REMOVED: _(
        "One event or more is missing before place %(place)s: event %(event)s does not follow "
        "the one before it."
    ),
    Kind.INSERTED: _(
        "Event %(event)s at place %(place)s was inserted: the events around it follow each other."
    ),
    Kind.UNCHAINED: _(
        "Event %(event)s was inserted, or its place in the chain removed: it has no place there."
    ),
    Kind.SWAPPED: _(
        "Event %(event)s at place %(place)s was swapped: the event of place %(other)s belongs "
        "there."
    ),
    Kind.CUT: _(
        "The end is missing: the chain has %(length)s places, and the anchor of %(at)s knew the "
        "event at place %(place)s."
    ),
    Kind.REWRITTEN: _(
        "The chain was rewritten somewhere from place %(since)s to %(place)s: the anchor of "
        "%(at)s knew another hash at place %(place)s."
    ),
    Kind.ANCHORS: _("The anchors cannot be read, so nothing was compared with them: %(why)s."),
}


@dataclass(frozen=True)
class Finding:
    """The first thing wrong with one chain. ``more`` fills the sentence."""

    chain: UUID
    kind: Kind
    place: int | None = None
    event: int | None = None
    more: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "chain": str(self.chain), "more": dict(self.more)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Finding:
        more = tuple(sorted(stored["more"].items()))
        return cls(
            UUID(stored["chain"]), Kind(stored["kind"]), stored["place"], stored["event"], more
        )

    @property
    def sentence(self) -> str:
        """In the language of whoever reads it now."""
        values = {"place": self.place, "event": self.event, **dict(self.more)}
        return str(SENTENCES[self.kind]) % values
