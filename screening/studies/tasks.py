"""Background work of the studies floor."""

from __future__ import annotations

from screening.core.tasks import portal_task
from screening.studies import allowance, services


@portal_task(name="studies.sweep_orphans", soft_limit_s=20, hard_limit_s=30)
def sweep_orphans() -> None:
    """Remove stored files that a crash left without a row, and counts of yesterday."""
    services.remove_orphans()
    allowance.forget_old()
