"""Background work of the accounts."""

from __future__ import annotations

from screening.accounts.services import limits, tokens
from screening.core.tasks import portal_task


@portal_task(name="accounts.clear_expired")
def clear_expired() -> None:
    """Run each night by the scheduler."""
    tokens.clear_expired()
    limits.forget_old()
