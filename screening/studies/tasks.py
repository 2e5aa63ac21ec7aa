"""Background work of the studies floor."""

from __future__ import annotations

from screening.core.tasks import portal_task
from screening.studies import services


@portal_task(name="studies.sweep_orphans", soft_limit_s=20, hard_limit_s=30)
def sweep_orphans() -> None:
    """Remove stored files that a crash left without a row."""
    services.remove_orphans()
