"""Background work of the inference floor: one id in, one service called."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery.signals import worker_process_init

from screening.core.tasks import portal_task
from screening.inference import broker, engine, services, sweeper


@portal_task(name="inference.run_job", queue=broker.QUEUE)
def run_job(job_id: str) -> None:
    """Classify the job's image, unless somebody else does or did."""
    services.run_job(UUID(job_id))


@portal_task(name="inference.sweep_jobs")
def sweep_jobs() -> None:
    """Send again what got lost."""
    sweeper.sweep_jobs()


@worker_process_init.connect
def load_model(**_: Any) -> None:
    """Load the model once for each worker process, after the fork.

    A TensorFlow that was loaded before a fork hangs in the child (tensorflow issue #27074).
    """
    engine.warm_up()
