"""The Celery application: settings come from Django, tasks from the installed apps.

What is done about the broker's well-known traps (measured by ``tests/services``):

* A flushed Redis loses kombu's ``_kombu.binding.*`` tables, and cached producers do not declare
  again. Our queues are plain direct queues addressed by name: Celery then publishes through the
  anonymous exchange, which needs no table, so sending works at once after a flush. The lost
  message itself is sent again by the sweeper, since the job row is the truth.
* A Redis that is away must not hold a web request: connecting is bounded to about a second, an
  answer to two, and publishing is tried once more and then given up (the caller logs it, the
  sweeper sends again). Workers read blockingly and wait longer.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import celeryd_init, setup_logging, worker_ready, worker_shutdown

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings.embedded")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


WORKER_SOCKET_TIMEOUT_S = 15.0  # Longer than the blocking read, which Redis ends itself.


@celeryd_init.connect
def be_patient(conf: Any, **_: Any) -> None:
    """Let a worker wait for its broker longer than a web request may."""
    options = {**conf.broker_transport_options, "socket_timeout": WORKER_SOCKET_TIMEOUT_S}
    conf.broker_transport_options = options


@setup_logging.connect
def use_django_logging(**_: Any) -> None:
    """Keep Django's logging set-up (request ids, no patient data) instead of Celery's own."""
    from logging.config import dictConfig

    from django.conf import settings

    dictConfig(settings.LOGGING)


def _ready_file() -> Path | None:
    name = os.environ.get("WORKER_READY_FILE", "")
    return Path(name) if name else None


@worker_ready.connect
def announce_ready(**_: Any) -> None:
    """Tell whoever started this worker that it consumes now."""
    path = _ready_file()
    if path is not None:
        path.write_text(f"{os.getpid()}\n", encoding="utf-8")


@worker_shutdown.connect
def announce_gone(**_: Any) -> None:
    """Take the word back when the worker leaves in order."""
    path = _ready_file()
    if path is not None:
        path.unlink(missing_ok=True)
