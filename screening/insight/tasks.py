"""Background work of the dashboards."""

from __future__ import annotations

from screening.core.tasks import portal_task
from screening.insight import rollup


@portal_task(name="insight.roll_up")
def roll_up() -> None:
    """Run every few minutes by the scheduler."""
    rollup.roll_up()
