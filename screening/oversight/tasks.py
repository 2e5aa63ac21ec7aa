"""Background work on the audit, run by the scheduler."""

from __future__ import annotations

from screening.core.tasks import portal_task, send_now
from screening.oversight import watch


@portal_task(name="oversight.keep_anchors")
def keep_anchors() -> None:
    """Every hour: what is cut off a chain's end unnoticed is at most that much."""
    watch.keep_anchors()


@portal_task(name="oversight.verify")
def verify() -> None:
    """Every day: what was recorded since the last time, and the anchors."""
    if not watch.verify_on(full=False):
        send_now(verify)


@portal_task(name="oversight.verify_all")
def verify_all() -> None:
    """Every week: everything, in parts."""
    if not watch.verify_on(full=True):
        send_now(verify_all)
