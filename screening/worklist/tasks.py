"""Background work of the worklist: letters."""

from __future__ import annotations

from uuid import UUID

from screening.core.tasks import portal_task
from screening.worklist import letters


@portal_task(name="worklist.send_letter")
def send_letter(notification_id: str) -> None:
    """Send the letter of one notification, unless it was sent."""
    letters.send(UUID(notification_id))


@portal_task(name="worklist.send_due_letters")
def send_due_letters() -> None:
    """Run every few minutes by the scheduler."""
    letters.send_due()


@portal_task(name="worklist.forget_old_notifications")
def forget_old_notifications() -> None:
    """Run each night by the scheduler."""
    letters.forget_old()
