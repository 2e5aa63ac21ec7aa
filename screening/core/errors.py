"""Errors a person may meet: a stable code, what happened, and what to do."""

from __future__ import annotations


class PortalError(Exception):
    """A refusal that is safe to show.

    ``code`` never changes once released (clients match on it); ``message`` is one plain
    sentence without patient data; ``http_status`` is what pages and API answer with;
    ``retry_after`` is how many seconds to wait, where waiting helps.
    """

    code = "error"
    http_status = 400
    retry_after: int | None = None

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if code is not None:
            self.code = code


class InvalidInput(PortalError):
    """The values sent do not make sense; ``field`` names the one to correct."""

    code = "invalid"
    http_status = 422


class Forbidden(PortalError):
    """The person is a member of the site but the role lacks the permission."""

    code = "forbidden"
    http_status = 403


class Conflict(PortalError):
    """The request is well formed but the present state does not allow it."""

    code = "conflict"
    http_status = 409
