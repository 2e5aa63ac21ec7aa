"""The reading panel's buttons, the second looks, the figures of readers, and the policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from screening.accounts import policies
from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission, home_site
from screening.audit.services import record
from screening.core.errors import InvalidInput, PortalError
from screening.core.spreadsheets import csv_response
from screening.reading import accuracy, discrepancies, selectors, services
from screening.reading.accuracy_csv import HEADING, figure_rows
from screening.reading.blind_first import blind_first_history, set_blind_first
from screening.reading.models import Reading
from screening.reading.panel import panel_for
from screening.reading.services import Draft
from screening.studies.models import Study
from screening.studies.selectors import get_study

WRITE = Permission.WRITE_READINGS

Service = Callable[..., Reading]


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # Every page here is closed to the anonymous.


def _entered(request: HttpRequest) -> tuple[Draft, str]:
    """What the form holds, and which open page sent it."""
    sent = request.POST.get
    draft = Draft(
        impression=sent("impression", ""),
        text=sent("text", ""),
        stance=sent("stance", ""),
        reason=sent("reason", ""),
    )
    return draft, sent("page", "")


def _version(request: HttpRequest) -> int:
    try:
        return int(request.POST.get("version") or 0)
    except ValueError:
        raise InvalidInput(_("There is no draft of that version."), field="version") from None


@requires(WRITE, asked_later=True)
@require_POST
def save_draft(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """Keep what has been entered so far; answers with the line that says so."""
    user = _user(request)
    study = get_study(user, study_id)
    policies.require(user, WRITE, study.site_id)
    draft, page = _entered(request)
    try:
        reading = services.save_draft(
            actor=user, study=study, draft=draft, version=_version(request), page=page
        )
    except PortalError as error:
        panel = panel_for(user, study, entered=draft, page=page, problem=error)
        return render(
            request, "reading/parts/draft_status.html", {"panel": panel}, status=error.http_status
        )
    return render(request, "reading/parts/draft_status.html", {"saved": reading})


@requires(WRITE, asked_later=True)
@require_POST
def first_impression(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """Record what the reader thinks before the answer is shown, then show it."""
    done = _("Your first impression is recorded.")
    return _record(request, study_id, services.record_first_impression, done)


@requires(WRITE, asked_later=True)
@require_POST
def sign(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """Sign the reading."""
    seen = request.POST.get("answer")
    return _record(request, study_id, services.sign_reading, _("Signed."), answer_seen=seen)


def _record(
    request: HttpRequest, study_id: UUID, service: Service, done: str, **more: Any
) -> HttpResponse:
    """Do it and go back to the study; or show the panel with what stands in the way."""
    user = _user(request)
    study = get_study(user, study_id)
    policies.require(user, WRITE, study.site_id)
    draft, page = _entered(request)
    try:
        service(actor=user, study=study, draft=draft, version=_version(request), page=page, **more)
    except PortalError as error:
        return _refused(request, study, draft, page, error)
    messages.success(request, done)
    return _back_to(request, study.pk)


def _refused(
    request: HttpRequest, study: Study, draft: Draft, page: str, error: PortalError
) -> HttpResponse:
    panel = panel_for(_user(request), study, entered=draft, page=page, problem=error)
    template = "reading/panel.html" if request.headers.get("HX-Request") else "reading/again.html"
    return render(request, template, {"panel": panel}, status=error.http_status)


def _back_to(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """To the study's page, loaded anew: what it shows has changed in more places than one."""
    where = reverse("record:study", args=(study_id,)) + "#reading"
    if request.headers.get("HX-Request"):
        # An address with a fragment of the very page is no reason for a browser to load it.
        return HttpResponse(headers={"HX-Refresh": "true"})
    return redirect(where)


@requires(WRITE, asked_later=True)
@require_POST
def addendum(request: HttpRequest, reading_id: UUID) -> HttpResponse:
    """Add to a signed reading."""
    user = _user(request)
    reading = selectors.get_signed_reading(user, reading_id)
    try:
        services.add_addendum(actor=user, reading=reading, text=request.POST.get("text", ""))
    except InvalidInput as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The addendum is signed."))
    return _back_to(request, reading.study_id)


@requires(Permission.VIEW_STUDIES)
@require_safe
def second_looks(request: HttpRequest) -> HttpResponse:
    """Readings of record that disagree with the AI: those that wait, or those looked at."""
    user = _user(request)
    resolved = request.GET.get("show") == "resolved"
    page = discrepancies.discrepancy_page(
        user, resolved=resolved, after=request.GET.get("after", "")
    )
    record("discrepancy.list", actor=user, detail={"shown": len(page.rows)})
    chosen = {"show": "resolved"} if resolved else {}
    context = {
        "page": page,
        "resolved": resolved,
        "is_first": "after" not in request.GET,
        "next_url": "?" + urlencode({**chosen, "after": page.next}) if page.next else "",
    }
    return render(request, "reading/second_looks.html", context)


@requires(WRITE, asked_later=True)
@require_POST
def resolve(request: HttpRequest, discrepancy_id: UUID) -> HttpResponse:
    """Take a second look."""
    user = _user(request)
    row = discrepancies.get_discrepancy(user, discrepancy_id)
    try:
        discrepancies.resolve_discrepancy(
            actor=user,
            discrepancy=row,
            verdict=request.POST.get("verdict", ""),
            note=request.POST.get("note", ""),
        )
    except InvalidInput as error:
        messages.error(request, error.message)
        return redirect(reverse("record:study", args=(row.reading.study_id,)) + "#second-look")
    messages.success(request, _("Your second look is recorded."))
    return redirect("reading:second_looks")


def _scope(request: HttpRequest, user: User) -> tuple[accuracy.Scope, list[accuracy.Scope]]:
    """Whose readings the address asks for; what one may not ask for does not exist."""
    scopes = accuracy.scopes_for(user)
    wanted = request.GET.get("whose", "mine")
    for scope in scopes:
        if scope.key == wanted:
            return scope, scopes
    raise Http404


@requires(Permission.VIEW_STUDIES)
@require_safe
def figures(request: HttpRequest) -> HttpResponse:
    """Human alone, AI alone and human with AI, against confirmed diagnoses."""
    user = _user(request)
    scope, scopes = _scope(request, user)
    blind, everything = accuracy.figures_for(user, scope)
    record("reading.figures", actor=user, detail={"whose": scope.key})
    context = {
        "scope": scope,
        "scopes": scopes,
        "blind": blind,
        "all": everything,
        "too_few": accuracy.TOO_FEW,
    }
    return render(request, "reading/figures.html", context)


@requires(Permission.VIEW_STUDIES)
@require_safe
def figures_csv(request: HttpRequest) -> HttpResponseBase:
    """The same figures for a spreadsheet, of everybody one may look at."""
    user = _user(request)
    scopes = accuracy.scopes_for(user)
    record("reading.figures", actor=user, detail={"whose": "csv"})
    rows = [row for scope in scopes for row in figure_rows(user, scope)]
    return csv_response("readers-and-ai.csv", HEADING, rows)


@requires(Permission.SET_READING_POLICY)
@require_http_methods(["GET", "HEAD", "POST"])
def policy(request: HttpRequest) -> HttpResponse:
    """The blind-first switch of the admin's site, with its history."""
    user = _user(request)
    site = home_site(user, Permission.SET_READING_POLICY)
    if request.method == "POST":
        wanted = request.POST.get("blind_first")
        if wanted not in ("on", "off"):
            raise InvalidInput(_("Choose on or off."), field="blind_first")
        set_blind_first(actor=user, site=site, is_on=wanted == "on")
        messages.success(
            request,
            _("Blind-first reading is on.") if wanted == "on" else _("Blind-first reading is off."),
        )
        return redirect("reading:policy")
    history = blind_first_history(user, site)
    context = {"site": site, "history": history, "current": history[0] if history else None}
    return render(request, "reading/policy.html", context)
