"""Asking again who somebody is, before what would hurt most if it were not that person.

A session that was left open, or stolen, must not be enough to take an account over or to change
what others may do. ``require_recent_sign_in`` lets a page go on for ``RECENT_SIGN_IN_S`` seconds
after the person has signed in or proved the identity again, by password or by second factor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from screening.core.errors import PortalError

PROVED_AT = "identity_proved_at"

View = Callable[..., HttpResponseBase]


class ReauthenticationRequired(PortalError):
    """The session is good, but too long ago proved for what was asked."""

    code = "reauthentication_required"
    http_status = 401

    def __init__(self) -> None:
        super().__init__(_("Please confirm that it is you, then try again."))


def note_proof(request: HttpRequest) -> None:
    """The person has just proved the identity; dangerous acts are open for a while."""
    request.session[PROVED_AT] = timezone.now().timestamp()


def is_recent(request: HttpRequest) -> bool:
    """Whether the person of this session proved the identity a short while ago."""
    age = timezone.now().timestamp() - request.session.get(PROVED_AT, 0)
    return bool(0 <= age <= settings.RECENT_SIGN_IN_S)


def ensure_recent_sign_in(request: HttpRequest) -> None:
    """Raise ``ReauthenticationRequired`` unless the identity was proved a short while ago.

    For API views, whose errors are answered as JSON. Pages use the decorator.
    """
    if not is_recent(request):
        raise ReauthenticationRequired


def require_recent_sign_in(view: View) -> View:
    """Let ``view`` be asked only by somebody who proved the identity a short while ago.

    Stands below the mark that says who may open the page::

        @requires(Permission.MANAGE_USERS)
        @require_recent_sign_in
        def deactivate(request): …

    A page leads to the question and back. What was sent with a POST is not kept, as it may hold
    secrets: the person comes back to the page that sent it and repeats it. htmx is told to
    leave for the question; scripts that want JSON get 401 and ``reauthentication_required``.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_recent(request):
            return view(request, *args, **kwargs)
        return ask_again(request)

    return guarded


def ask_again(request: HttpRequest) -> HttpResponse:
    """The answer to a request that needs a fresh proof, in the way its sender understands."""
    error = ReauthenticationRequired()
    if "application/json" in request.headers.get("Accept", "") or request.path.startswith("/api/"):
        return JsonResponse({"code": error.code, "message": error.message}, status=401)
    if request.headers.get("HX-Request"):
        response = HttpResponse(error.message, status=401, content_type="text/plain")
        response["HX-Redirect"] = _question(request, request.headers.get("HX-Current-URL", ""))
        return response
    if request.method in ("GET", "HEAD"):
        return HttpResponseRedirect(_question(request, request.get_full_path()))
    return HttpResponseRedirect(_question(request, request.headers.get("Referer", "")))


def _question(request: HttpRequest, page: str) -> str:
    """The address of the question; ``page`` is where to go on, if it is one of ours."""
    parts = urlsplit(page)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    is_ours = url_has_allowed_host_and_scheme(page, {request.get_host()}) and path.startswith("/")
    query = f"?{urlencode({'next': path})}" if path and is_ours else ""
    return reverse("accounts:confirm_identity") + query
