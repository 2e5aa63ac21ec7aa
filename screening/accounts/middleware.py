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
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from screening.accounts.preferences import zone_named
from screening.accounts.second_factors import Standing, proved_second_factor, standing_of
from screening.accounts.session_store import SIGNED_IN_AT
from screening.core import row_security

# The log-in page shows the sentence; its address carries the word.
CLOSED = {
    "inactive": _("Your account is not active. Ask your administrator."),
    "expired": _("You have been signed in for long enough. Please sign in again."),
    "signed_out": _("Please sign in first."),
    "sso_failed": _("Signing in elsewhere did not work. Please try again, or ask your IT."),
    "sso_cancelled": _("Signing in elsewhere was cancelled."),
    "sso_unreachable": _("The sign-in service of your organisation cannot be reached just now."),
    "sso_not_fresh": _("Your organisation did not ask again who you are. Please sign in anew."),
    "sso_no_role": _("Your organisation’s account has no role here. Ask your administrator."),
    "sso_inactive": _("Your account is not active. Ask your administrator."),
    "idle": _("You were signed out because nothing was done for a while. Please sign in again."),
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
            standing = standing_of(request.user)
            if standing is None or _is_too_old(request):
                logout(request)
                return _refuse(request, "inactive" if standing is None else "expired")
            request.standing = standing  # type: ignore[attr-defined]  # read below
            request.home_site_id = standing.site_id  # type: ignore[attr-defined]  # for the audit
            row_security.widen(person=request.user.pk, sites=standing.sites)
        return self.get_response(request)


class SecondFactorMiddleware:
    """Leads somebody who must have a second factor to setting it up, and lets nothing else pass.

    Stands after ``ActiveMembershipMiddleware`` and asks the session only. Requests of the API
    that carry a token are nobody's here: whoever made the token had a second factor then.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        standing: Standing | None = getattr(request, "standing", None)
        if standing is None or not standing.needs_second_factor or proved_second_factor(request):
            return None
        if getattr(view, "before_second_factor", False):
            return None
        return _ask_for_second_factor(request)


class PreferencesMiddleware:
    """Shows pages in the person's language and time zone; see ``accounts.preferences``.

    Stands after ``LocaleMiddleware``, which has asked the browser, and after
    ``ActiveMembershipMiddleware``, which knows the site.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        timezone.deactivate()  # A thread serves one person after the other.
        if request.path.startswith("/api/"):
            translation.activate(settings.LANGUAGE_CODE)
        elif request.user.is_authenticated:
            user = request.user
            if user.language in dict(settings.LANGUAGES):
                translation.activate(user.language)
            timezone.activate(zone_named(user.time_zone or _zone_of(request)))
        return self.get_response(request)


def _zone_of(request: HttpRequest) -> str:
    standing: Standing | None = getattr(request, "standing", None)
    return standing.time_zone if standing is not None else ""


def _ask_for_second_factor(request: HttpRequest) -> HttpResponse:
    sentence = _("Your site asks your role for a second factor. Set it up first.")
    page = reverse("accounts:second_factors")
    if _wants_json(request):
        body = {"code": "second_factor_required", "message": str(sentence)}
        return JsonResponse(body, status=403)
    if request.headers.get("HX-Request"):
        response = HttpResponse(str(sentence), status=403, content_type="text/plain")
        response["HX-Redirect"] = page
        return response
    wanted = request.get_full_path() if request.method == "GET" else "/"
    query = f"?{urlencode({'next': wanted})}" if wanted != "/" else ""
    return HttpResponseRedirect(page + query)


def _is_too_old(request: HttpRequest) -> bool:
    started = request.session.get(SIGNED_IN_AT, 0)
    return bool(timezone.now().timestamp() - started > settings.SESSION_HARD_AGE_S)


def _is_script(request: HttpRequest) -> bool:
    return bool(request.headers.get("HX-Request")) or _wants_json(request)


def _wants_json(request: HttpRequest) -> bool:
    accepted = request.headers.get("Accept", "")
    return request.path.startswith("/api/") or "application/json" in accepted


def _refuse(request: HttpRequest, reason: str) -> HttpResponse:
    sentence = str(CLOSED[reason])
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


def log_in_page(*, closed: str) -> HttpResponse:
    """Leads to the log-in page, which says why the person is not let in (a key of ``CLOSED``)."""
    return HttpResponseRedirect(_log_in_address("", closed))


def _log_in_address(page: str, reason: str) -> str:
    query = {"next": page} if page and page != "/" else {}
    return f"{reverse('accounts:login')}?{urlencode({**query, 'closed': reason})}"
