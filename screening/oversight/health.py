"""How the audit is: when it was last verified, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from screening.accounts.models import User
from screening.audit.findings import Finding
from screening.audit.models import NO_SITE, Check
from screening.oversight.selectors import chains_of

LATE = timedelta(days=2)


@dataclass(frozen=True)
class State:
    """Of the chains that concern one person. ``at`` is None before the first verification."""

    at: datetime | None
    full_at: datetime | None
    findings: list[Finding]

    @property
    def is_late(self) -> bool:
        """The scheduler has not verified for longer than it should."""
        return self.at is None or timezone.now() - self.at > LATE


def state_for(user: User) -> State:
    """What the last finished verification found in the chains of the sites of ``user``."""
    finished = Check.objects.exclude(finished_at=None)
    last, full = finished.first(), finished.filter(full=True).first()
    known = {*chains_of(user), NO_SITE}
    found = [Finding.from_json(stored) for stored in last.findings] if last is not None else []
    return State(
        at=last.finished_at if last is not None else None,
        full_at=full.finished_at if full is not None else None,
        findings=[finding for finding in found if finding.chain in known],
    )
