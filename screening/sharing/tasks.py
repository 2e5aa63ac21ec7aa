"""Background work of the exports."""

from __future__ import annotations

from uuid import UUID

from screening.core.tasks import LAST, portal_task


@portal_task(name="sharing.build_export", priority=LAST, soft_limit_s=100, hard_limit_s=110)
def build_export(export_id: str) -> None:
    """Make the file of one export."""
    from screening.sharing import services  # Services send this task.

    services.build_export(UUID(export_id))


@portal_task(name="sharing.sweep_exports")
def sweep_exports() -> None:
    """Run every few minutes by the scheduler."""
    from screening.sharing import services

    services.sweep_exports()
