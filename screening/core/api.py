"""The one shape of every API error: ``{code, message}``, with ``fields`` for invalid input."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from screening.core.errors import PortalError

_CODES = {
    "not_authenticated": "not_authenticated",
    "authentication_failed": "not_authenticated",
    "permission_denied": "forbidden",
}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's ``EXCEPTION_HANDLER``: answer ``{code, message}`` and let real faults through."""
    if isinstance(error, PortalError):
        body: dict[str, Any] = {"code": error.code, "message": error.message}
        if error.field:
            body["fields"] = {error.field: [error.message]}
        wait = {"Retry-After": str(error.retry_after)} if error.retry_after else None
        return Response(body, status=error.http_status, headers=wait)
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, Http404):
        response.data = {"code": "not_found", "message": "There is no such thing here."}
    elif isinstance(error, PermissionDenied):
        response.data = {
            "code": "forbidden",
            "message": "Your role does not allow that.",
        }
    elif isinstance(error, exceptions.ValidationError):
        response.data = {
            "code": "invalid",
            "message": _first_sentence(error.detail),
            "fields": error.detail,
        }
    elif isinstance(error, exceptions.ParseError):
        # What a parser says quotes the request.
        response.data = {
            "code": "malformed",
            "message": "The request cannot be understood; check how it is made.",
        }
    elif isinstance(error, exceptions.APIException):
        code = str(error.get_codes())
        response.data = {"code": _CODES.get(code, code), "message": str(error.detail)}
    return response


def _first_sentence(detail: Any, field: str = "") -> str:
    """The first complaint of a nested DRF error, with the field's name before it."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        return _first_sentence(inner, "" if name == "non_field_errors" else str(name))
    if isinstance(detail, list):
        return _first_sentence(detail[0], field)
    return f"{field}: {detail}" if field else str(detail)
