"""What is logged, and where to; part of ``base``."""

from __future__ import annotations

import os
from typing import Any

from portal.env import Env

# To standard error only: whoever started the process decides where that goes.
LOG_LEVEL = Env(os.environ).choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "portal.logs.RequestIdFilter"},
        "route": {"()": "portal.logs.RouteFilter"},
        "refusal": {"()": "portal.logs.RefusalFilter"},
    },
    "formatters": {
        "line": {
            "()": "portal.logs.LineFormatter",
            "format": "%(asctime)s %(levelname)s [%(process)d] [%(request_id)s] "
            "%(name)s: %(message)s",
        }
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request_id", "refusal"],
        }
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": LOG_LEVEL, "propagate": False},
        # Refused requests are logged by route; Django would log the address, with its tokens.
        "django.request": {"level": "ERROR", "filters": ["route"]},
        # Celery prints the arguments of every task it receives; ours are ids, yet one line for
        # each start and each end is noise at thirty results a second.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
