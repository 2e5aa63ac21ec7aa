from __future__ import annotations

from screening.backup import services
from screening.core.tasks import portal_task


@portal_task(name="backup.start")
def start_backup() -> None:
    """Start the daily backup."""
    services.start_scheduled()
