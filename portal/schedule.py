"""When the scheduler sends its messages."""

from __future__ import annotations

from datetime import datetime

from celery.schedules import schedstate, schedule


class Every(schedule):
    """Every so many seconds, also after the clock was set back.

    Celery waits until the moment of the last run has come and gone once more. A machine that
    started with a clock of next year would sweep no lost job until then, and keeps that moment
    on its disk.
    """

    def is_due(self, last_run_at: datetime) -> schedstate:
        state = super().is_due(last_run_at)
        if not state.is_due and state.next > self.seconds:
            return schedstate(is_due=True, next=self.seconds)
        return state
