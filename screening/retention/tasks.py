"""Background work of retention."""

from __future__ import annotations

from screening.core.tasks import LAST, portal_task
from screening.retention import periods


@portal_task(name="retention.apply", priority=LAST, soft_limit_s=60, hard_limit_s=80)
def apply() -> None:
    """Run every few minutes by the scheduler."""
    periods.apply_rules()
