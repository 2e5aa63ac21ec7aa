"""Log lines that carry the request's id, so that one click can be followed through the portal.

They say where something went wrong and never with whose data: addresses hold tokens, and the words
of an exception may quote what somebody typed (PostgreSQL's quote whole rows).
"""

from __future__ import annotations

import logging
import os
import traceback
from contextvars import ContextVar
from types import TracebackType

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="-")


class RequestIdFilter(logging.Filter):
    """Puts ``request_id`` on every record; ``-`` where there is no request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id.get()
        return True


class RouteFilter(logging.Filter):
    """Names the route where Django's own log of a fault names the address."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if request is not None and isinstance(record.args, tuple) and len(record.args) == 2:
            match = getattr(request, "resolver_match", None)
            route = f"/{match.route}" if match is not None else "(no route)"
            record.args = (record.args[0], route)
        return True


class RefusalFilter(logging.Filter):
    """Says what kind of request Django refused, where Django would quote it (a host, a form)."""

    def filter(self, record: logging.LogRecord) -> bool:
        room, _, kind = record.name.rpartition(".")
        if room == "django.security":
            record.msg, record.args = "a request was refused: %s", (kind,)
        return True


class LineFormatter(logging.Formatter):
    """Writes down an exception's kind and its way through the code, but not its words."""

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        return _story(ei[1]) if ei[1] is not None else ""


def _story(error: BaseException) -> str:
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = f"{_story(earlier)}\nthen\n" if earlier is not None else ""
    way = "".join(traceback.format_tb(error.__traceback__))
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, OSError) and error.errno:
        name += f": {os.strerror(error.errno)}"  # "No space left on device", and no file's name
    return f"{before}Traceback (most recent call last):\n{way}{name}"
