"""Background work of the inference floor: one id in, one service called."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery.signals import worker_process_init
from django.db import DatabaseError

from screening.core.tasks import LAST, portal_task
from screening.inference import activations, broker, engine, services, shadow, sweeper


@portal_task(name="inference.run_job", queue=broker.QUEUE)
def run_job(job_id: str) -> None:
    """Classify the job's image, unless somebody else does or did."""
    services.run_job(UUID(job_id))


@portal_task(name="inference.answer_in_shadow", queue=broker.SHADOW_QUEUE, priority=LAST)
def answer_in_shadow(answer_id: str) -> None:
    """Let a candidate answer an image that has its real answer."""
    shadow.answer(UUID(answer_id))


@portal_task(name="inference.sweep_jobs")
def sweep_jobs() -> None:
    """Send again what got lost."""
    sweeper.sweep_jobs()
    shadow.send_overdue()


@worker_process_init.connect
def load_model(**_: Any) -> None:
    """Load the models in use once for each worker process, after the fork.

    A TensorFlow that was loaded before a fork hangs in the child (tensorflow issue #27074).
    """
    try:
        wanted = activations.in_use()
    except DatabaseError:
        # The database may come later than the worker; the first job of a site loads its model.
        wanted = [None]
    engine.warm_up(wanted[: engine.KEPT])
