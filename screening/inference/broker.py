"""The messages that tell workers of a job. They are hints: the job's row is the truth."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import current_app
from kombu.exceptions import ChannelError, OperationalError

from screening.core.tasks import send_now

QUEUE = "inference"
SHADOW_QUEUE = "shadow"


def send_job(job_id: UUID, *, countdown_s: float = 0) -> bool:
    """Send a job's message; return whether the broker took it."""
    from screening.inference.tasks import run_job  # tasks stand above services

    return send_now(run_job, str(job_id), countdown_s=countdown_s)


def send_shadow_answer(answer_id: UUID) -> bool:
    """Ask for a candidate's answer when nothing else waits; return whether the broker took it."""
    from screening.inference.tasks import answer_in_shadow

    return send_now(answer_in_shadow, str(answer_id))


def messages_waiting(queue: str = QUEUE) -> int | None:
    """How many messages wait in a queue; ``None`` when the broker is away."""
    connection: Any = current_app.connection_for_write()
    try:
        with connection:
            found = connection.default_channel.queue_declare(queue=queue, passive=True)
            return int(found.message_count)
    except ChannelError:
        return 0  # Redis keeps no empty queues.
    except (OperationalError, OSError, *connection.connection_errors):
        return None
