"""What is answered where no view could: a page for people, ``{code, message}`` for programs."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django could make no sense of the request, or there was too much of it."""
    if not _is_program(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return _answer(413, "request_too_large", "The request is too large; send less at a time.")
    return _answer(400, "malformed", "The request cannot be understood; check how it is made.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """No view has this address, or the view knows no such thing."""
    if not _is_program(request):
        return defaults.page_not_found(request, exception)
    return _answer(404, "not_found", "There is no such thing here.")


def fault(request: HttpRequest, *args: Any) -> HttpResponse:
    """A mistake of ours. The log has it, with the request's id."""
    if not _is_program(request):
        return defaults.server_error(request)
    return _answer(
        500,
        "internal_error",
        "The portal made a mistake and has noted it. Try again; if it happens again, tell your "
        "administrator when it happened.",
    )


def _is_program(request: HttpRequest) -> bool:
    accepted = request.headers.get("Accept", "")
    return request.path.startswith("/api/") or "application/json" in accepted


def _answer(status: int, code: str, message: str) -> JsonResponse:
    return JsonResponse({"code": code, "message": message}, status=status)
