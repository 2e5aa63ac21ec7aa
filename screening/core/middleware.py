"""What surrounds every view: the limits in the database, and answers to refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from screening.core.errors import PortalError
from screening.core.row_security import NOTHING, Reach, current_reach, limited_to


class RowSecurityMiddleware:
    """Limits what the database shows while a request lasts; see ``core.row_security``.

    Stands before whatever asks the database first. Who asks, and how far that reaches, is settled
    later: by the session (``accounts.middleware``) or an API token (``accounts.authentication``).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with limited_to(NOTHING):
            response = self.get_response(request)
            reach = current_reach() or NOTHING
        # A body that is made while it is sent asks the database after the middleware is done.
        if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
            content: Any = response.streaming_content
            response.streaming_content = _sent_within(reach, content)
        return response


def _sent_within(reach: Reach, content: Iterable[bytes]) -> Iterator[bytes]:
    with limited_to(reach):
        yield from content


class PortalErrorMiddleware:
    """Turns a ``PortalError`` raised by a page into an answer a person understands."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer with the error's own status: JSON for scripts, a page for people."""
        if not isinstance(error, PortalError):
            return None
        body = {"code": error.code, "message": error.message}
        if "application/json" in request.headers.get("Accept", ""):
            response: HttpResponse = JsonResponse(body, status=error.http_status)
        else:
            page = "errors/portal_error.html"
            response = render(request, page, body, status=error.http_status)
        if error.retry_after:
            response["Retry-After"] = str(error.retry_after)
        return response
