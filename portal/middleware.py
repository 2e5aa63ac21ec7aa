"""What every response gets, whoever wrote the view."""

from __future__ import annotations

import ipaddress
import logging
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

from portal.logs import current_request_id
from screening.accounts.services.sessions import is_renewal_due, renew_session

logger = logging.getLogger("portal.requests")

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# A caller's id is taken over only when it cannot smuggle anything into log files.
ACCEPTED_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIdMiddleware:
    """Gives every request an id: the caller's ``X-Request-ID`` if harmless, else a fresh one."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if ACCEPTED_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]  # read by the audit
        token = current_request_id.set(request_id)
        started = time.monotonic()
        try:
            response = self.get_response(request)
            self.log(request, response, started)
        finally:
            current_request_id.reset(token)
        response["X-Request-ID"] = request_id
        return response

    def log(self, request: HttpRequest, response: HttpResponseBase, started: float) -> None:
        """One line for each request, by route and not by address.

        Addresses hold invitation tokens, and query strings the names that people search for.
        Static files, which match no route, are left out unless something is wrong with them.
        """
        match = request.resolver_match
        if match is None and response.status_code < 400:
            return
        logger.info(
            "%s %s %d %.0f ms",
            request.method,
            f"/{match.route}" if match is not None else "(no route)",
            response.status_code,
            (time.monotonic() - started) * 1000,
        )


class ClientAddressMiddleware:
    """Finds who asked behind the proxies that stand in front (``PROXIES``, how many).

    Each of them appends the address it saw to ``X-Forwarded-For``. What stands further to the
    left was written by the caller, who may write anything.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.PROXIES:
            seen = request.headers.get("X-Forwarded-For", "").split(",")
            with suppress(IndexError, ValueError):
                address = ipaddress.ip_address(seen[-settings.PROXIES].strip())
                request.META["REMOTE_ADDR"] = str(address)
        return self.get_response(request)


class SecurityHeadersMiddleware:
    """Headers that Django's own security middleware and django-csp do not set."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        response.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        # Patient data must not survive in shared or browser caches. Static files never come
        # here: WhiteNoise answers them earlier in the chain.
        if "Cache-Control" not in response:
            response["Cache-Control"] = "no-store, private"
        return response


class SessionRenewalMiddleware:
    """Moves the end of an idle session, at most about once a minute (``SESSION_RENEW_AFTER_S``).

    Only for people who have signed in: nobody else is given a session by this. And only by what
    a person does: a page that asks for news by itself would keep an unattended screen open for
    as long as a study waits.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        has_session = settings.SESSION_COOKIE_NAME in request.COOKIES
        if (
            has_session
            and SESSION_KEY in request.session
            and is_renewal_due(request.session)
            and not _asks_by_itself(request)
        ):
            renew_session(request.session)
        return self.get_response(request)


def _asks_by_itself(request: HttpRequest) -> bool:
    try:
        return resolve(request.path_info).view_name in settings.SESSION_QUIET_VIEWS
    except Resolver404:
        return False


class RequestSizeMiddleware:
    """Refuses a request whose announced body is larger than any upload may be.

    The single file is judged by the intake gate; this only keeps a giant body from being
    spooled to disk first. A chunked body has no announced length, and Django reads none of it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            announced = int(request.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            announced = 0
        if announced > settings.MAX_REQUEST_BYTES:
            megabytes = settings.MAX_REQUEST_BYTES // (1024 * 1024)
            message = f"A request may carry up to {megabytes} MB; send fewer files at a time."
            response: HttpResponse = JsonResponse(
                {"code": "request_too_large", "message": message}, status=413
            )
            # The body is not read, so the connection cannot be used again.
            response["Connection"] = "close"
            return response
        return self.get_response(request)
