"""Tells the audit record who is behind a request, and records what the portal refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from screening.audit.context import Origin, acting_as, counting
from screening.audit.models import Outcome
from screening.audit.services import record


class RequestContextMiddleware:
    """Sets the audit origin for one request, and leaves one event for what it was refused.

    Every way to a 403 passes here (a page, the API, a forged form), and every way to a 404, so
    this is the one place that records a denial. Whether what an address names exists somewhere
    else is not asked: the event says what was asked for, and the answer stays the same.
    Anonymous people are not told no but asked to sign in, and what they try leaves no rows: they
    could fill the table. A request with an API token that leaves no other event leaves one for
    the token's use.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        came_as = request.user
        with acting_as(lambda: origin_of(request)), counting() as recorded:
            response = self.get_response(request)
            action = _REFUSALS.get(response.status_code)
            # What no address of ours matches is nobody's object.
            if action and (request.resolver_match is not None or response.status_code == 403):
                # The API forgets who came with a forged form; an API token tells only there.
                actor = request.user if request.user.is_authenticated else came_as
                if actor.is_authenticated:
                    _note(request, actor, action, Outcome.DENIED)
            elif not recorded and getattr(request, "token_id", None) is not None:
                outcome = Outcome.FAILED if response.status_code >= 400 else Outcome.OK
                _note(request, request.user, "token.use", outcome)
            return response


_REFUSALS = {403: "access.deny", 404: "access.miss"}


def origin_of(request: HttpRequest) -> Origin:
    """Who acts in ``request`` as it stands now; API tokens settle it only inside the view."""
    user = getattr(request, "user", None)
    known = user is not None and user.is_authenticated
    return Origin(
        actor_id=user.pk if user is not None and known else None,
        actor_name=user.get_username() if user is not None and known else "anonymous",
        request_id=getattr(request, "request_id", ""),
        remote_addr=request.META.get("REMOTE_ADDR") or None,
        site_id=getattr(request, "home_site_id", None) if known else None,
        token_id=getattr(request, "token_id", None),
        owner_id=getattr(request, "token_owner_id", None),
    )


def _note(request: HttpRequest, actor: Any, action: str, outcome: Outcome) -> None:
    """One event that names the address asked for and the object in it, never the query."""
    match = request.resolver_match
    ids = [str(v) for v in match.kwargs.values() if isinstance(v, UUID)] if match else []
    record(
        action,
        actor=actor,
        site_id=getattr(request, "home_site_id", None),
        outcome=outcome,
        object_id=ids[0] if ids else "",
        detail={"method": request.method or "", "route": match.view_name if match else ""},
    )
