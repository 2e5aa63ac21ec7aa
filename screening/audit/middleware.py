"""Tells the audit record who is behind a request."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from screening.audit.context import Origin, acting_as


class RequestContextMiddleware:
    """Sets the audit origin for one request; must stand after authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = getattr(request, "user", None)
        signed_in = user is not None and user.is_authenticated
        origin = Origin(
            actor_id=user.pk if user is not None and signed_in else None,
            actor_name=user.get_username() if user is not None and signed_in else "anonymous",
            request_id=getattr(request, "request_id", ""),
            remote_addr=request.META.get("REMOTE_ADDR") or None,
        )
        with acting_as(origin):
            return self.get_response(request)
