"""Turns a ``PortalError`` raised by a page into an answer a person understands."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from screening.core.errors import PortalError


class PortalErrorMiddleware:
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
            return JsonResponse(body, status=error.http_status)
        return render(request, "errors/portal_error.html", body, status=error.http_status)
