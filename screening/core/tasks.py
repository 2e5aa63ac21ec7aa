"""The only way to declare and to send background work.

Every task takes UUID strings and calls one service, so the queue engine can be changed and
work can be run by hand. Celery's own ``shared_task`` is banned by lint: it would let somebody
forget the late acknowledgement or the time limits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import Task, shared_task  # noqa: TID251  (this is the one place)
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

LAST = 9
"""The priority of what any worker takes up only when nothing else waits for it."""

_routes: dict[str, dict[str, Any]] = {}


def route_task(name: str, *_: Any, **__: Any) -> dict[str, Any] | None:
    """Where the messages of a task go: Celery asks this, by ``CELERY_TASK_ROUTES``."""
    route = _routes.get(name)
    return dict(route) if route is not None else None


def portal_task(
    *,
    name: str,
    queue: str = "default",
    priority: int | None = None,
    soft_limit_s: float | None = None,
    hard_limit_s: float | None = None,
) -> Callable[[Callable[..., None]], Task[..., None]]:
    """Declare a background task.

    The message is acknowledged after the work (``acks_late``) and handed back when the worker
    process dies, so delivery is at least once; the services behind it claim rows by
    compare-and-set, which makes the effect exactly once. Limits must stay below the broker's
    visibility timeout (celery issue #5935); ``portal.checks`` holds that order. ``priority`` is
    0, the usual, to ``LAST``.
    """
    _routes[name] = {"queue": queue} | ({} if priority is None else {"priority": priority})

    def declare(function: Callable[..., None]) -> Task[..., None]:
        options: dict[str, Any] = {
            "name": name,
            "acks_late": True,
            "reject_on_worker_lost": True,
            "ignore_result": True,
            "max_retries": 0,
            "soft_time_limit": soft_limit_s or settings.INFERENCE_SOFT_LIMIT_S,
            "time_limit": hard_limit_s or settings.INFERENCE_HARD_LIMIT_S,
        }
        task: Task[..., None] = shared_task(**options)(function)
        return task

    return declare


def send_now(task: Task[..., None], *args: str, countdown_s: float = 0) -> bool:
    """Send a message at once; return whether the broker took it.

    A broker that is away is no error here: the row the message points at is the truth, and the
    sweeper sends the message again.
    """
    options: dict[str, Any] = {"countdown": countdown_s} if countdown_s else {}
    try:
        task.apply_async(args=args, **options)
    except (OperationalError, ConnectionError, TimeoutError, OSError) as error:
        logger.warning("broker did not take %s: %s", task.name, type(error).__name__)
        return False
    return True


def send_after_commit(task: Task[..., None], *args: str, countdown_s: float = 0) -> None:
    """Send a message once the surrounding transaction has committed.

    A worker therefore never sees a row that is not there yet (celery issue #8976).
    """
    transaction.on_commit(lambda: send_now(task, *args, countdown_s=countdown_s), robust=True)
