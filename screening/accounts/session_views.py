"""One's own sessions, and how long the present one lasts."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from screening.accounts import selectors
from screening.accounts.access import before_second_factor, requires, signed_in
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.accounts.services import sessions
from screening.accounts.session_store import HANDLE


@signed_in
@require_safe
def own_sessions(request: HttpRequest) -> HttpResponse:
    """Where the person is signed in."""
    context = {
        "sessions": selectors.sessions_of(cast(User, request.user)),
        "current": request.session.get(HANDLE, ""),
    }
    return render(request, "accounts/sessions.html", context)


@signed_in
@require_POST
def end_session(request: HttpRequest, handle: UUID) -> HttpResponse:
    """End one of one's own sessions."""
    user = cast(User, request.user)
    sessions.end_session(user=user, session=selectors.get_session(user, handle))
    messages.success(request, _("The session is ended."))
    return redirect("accounts:sessions")


@signed_in
@require_POST
def end_others(request: HttpRequest) -> HttpResponse:
    """End all of one's own sessions but this one."""
    user = cast(User, request.user)
    sessions.end_sessions(user=user, keep=request.session.get(HANDLE))
    messages.success(request, _("Everywhere else you are signed out."))
    return redirect("accounts:sessions")


@requires(Permission.MANAGE_USERS, asked_later=True)
@require_POST
def end_of_member(request: HttpRequest, membership_id: UUID) -> HttpResponse:
    """End all sessions of a colleague."""
    actor = cast(User, request.user)
    membership = selectors.get_membership(actor, membership_id)
    count = sessions.end_sessions_of_member(actor=actor, membership=membership)
    said = ngettext(
        "%(n)s session of %(person)s is ended.", "%(n)s sessions of %(person)s are ended.", count
    )
    messages.success(request, said % {"n": count, "person": membership.user})
    return redirect("accounts:user_list")


@before_second_factor
@signed_in
@require_safe
def session_state(request: HttpRequest) -> JsonResponse:
    """How long this session lasts if nobody does anything. Asking does not make it longer."""
    return _state(request)


@before_second_factor
@signed_in
@require_POST
def renew_session(request: HttpRequest) -> JsonResponse:
    """Somebody is there: the idle time begins anew."""
    sessions.renew_session(request.session)
    return _state(request)


def _state(request: HttpRequest) -> JsonResponse:
    left = sessions.time_left(request.session)
    return JsonResponse({"idle_s": left.idle_s, "age_s": left.age_s})
