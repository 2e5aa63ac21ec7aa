"""Who may go on with a request at all: signed in, still a member, not for too long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from screening.accounts.policies import home_site_id
from screening.accounts.signals import SIGNED_IN_AT

# The log-in page shows the sentence; its address carries the word.
CLOSED = {
    "inactive": "Your account is not active. Ask your administrator.",
    "expired": "You have been signed in for long enough. Please sign in again.",
    "signed_out": "Please sign in first.",
}


class SignInRequiredMiddleware(LoginRequiredMiddleware):
    """Django's default deny, which also answers scripts in a way they understand.

    A script that is sent to the log-in page would show it inside a fragment or take it for an
    answer; it gets 401 instead.
    """

    def handle_no_permission(  # type: ignore[override]  # the stubs know redirects only
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponseBase:
        if _is_script(request):
            return _refuse(request, "signed_out")
        return super().handle_no_permission(request, view_func)


class ActiveMembershipMiddleware:
    """Refuses the very next request of somebody who was deactivated or signed in long ago.

    Stands after authentication. Token requests of the API are refused by
    ``accounts.authentication`` in the same way.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            site_id = home_site_id(request.user)
            if site_id is None or _is_too_old(request):
                logout(request)
                return _refuse(request, "inactive" if site_id is None else "expired")
            request.home_site_id = site_id  # type: ignore[attr-defined]  # read by the audit
        return self.get_response(request)


def _is_too_old(request: HttpRequest) -> bool:
    started = request.session.get(SIGNED_IN_AT, 0)
    return bool(timezone.now().timestamp() - started > settings.SESSION_HARD_AGE_S)


def _is_script(request: HttpRequest) -> bool:
    return bool(request.headers.get("HX-Request")) or _wants_json(request)


def _wants_json(request: HttpRequest) -> bool:
    accepted = request.headers.get("Accept", "")
    return request.path.startswith("/api/") or "application/json" in accepted


def _refuse(request: HttpRequest, reason: str) -> HttpResponse:
    sentence = CLOSED[reason]
    if _wants_json(request):
        code = {"inactive": "not_active"}.get(reason, "not_authenticated")
        return JsonResponse({"code": code, "message": sentence}, status=401)
    if request.headers.get("HX-Request"):
        page = urlsplit(request.headers.get("HX-Current-URL", "")).path
        response = HttpResponse(sentence, status=401, content_type="text/plain")
        response["HX-Redirect"] = _log_in_address(page, reason)  # htmx leaves for it
        return response
    page = request.get_full_path() if request.method == "GET" else ""
    return HttpResponseRedirect(_log_in_address(page, reason))


def _log_in_address(page: str, reason: str) -> str:
    query = {"next": page} if page and page != "/" else {}
    return f"{reverse('accounts:login')}?{urlencode({**query, 'closed': reason})}"
