"""Lets a person read, for one request, what she has opened in an emergency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from screening.core import row_security
from screening.emergency import selectors


class EmergencyMiddleware:
    """One look a request; what it finds is what ``accounts.policies`` and the database go by.

    Stands behind ``ActiveMembershipMiddleware``. A program with an API token is in no emergency:
    this asks for the person of the session only. ``request.emergency`` is the access by which the
    page at hand is read, where there is one: the pages' frame says so.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        opened = {}
        if request.user.is_authenticated:
            opened = {one.patient_id: one for one in selectors.open_accesses(request.user)}
        if opened:
            row_security.widen(person=request.user.pk, patients=opened)  # type: ignore[arg-type]
        request.opened_records = opened  # type: ignore[attr-defined]
        request.emergency = None  # type: ignore[attr-defined]
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        opened = getattr(request, "opened_records", {})
        if opened:
            request.emergency = selectors.access_to(opened, kwargs)  # type: ignore[attr-defined]
