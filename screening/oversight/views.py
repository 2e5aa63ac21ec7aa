"""The audit for those who answer for it, and who looked at a patient for those who treat."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from screening.accounts import policies
from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import InvalidInput
from screening.core.spreadsheets import csv_response
from screening.oversight import exports, selectors
from screening.oversight.forms import FORMATS, SearchForm
from screening.oversight.health import state_for
from screening.oversight.rows import rows_for
from screening.patients.selectors import get_patient


@requires(Permission.VIEW_AUDIT)
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """Search the record of who did, or looked at, what."""
    user = cast(User, request.user)
    form = SearchForm(request.GET)
    chosen = _chosen(form, request)
    page = selectors.Page([], None, None)
    if form.is_valid():
        wanted = form.wanted(user)
        before, after = _number(request, "before"), _number(request, "after")
        page = selectors.find(user, wanted, before=before, after=after)
    record("audit.search", actor=user, detail={"by": sorted(chosen), "shown": len(page.events)})
    context = {
        "form": form,
        "is_filtered": bool(chosen),
        "query": urlencode(chosen),
        "rows": rows_for(user, page.events),
        "state": state_for(user),
        "newer_url": _neighbour(chosen, "after", page.newer),
        "older_url": _neighbour(chosen, "before", page.older),
    }
    return render(request, "oversight/audit.html", context)


@requires(Permission.VIEW_AUDIT)
@require_safe
def export(request: HttpRequest) -> HttpResponseBase:
    """What the search finds, all of it, as CSV or as JSON lines."""
    user = cast(User, request.user)
    kind = request.GET.get("format", "csv")
    form = SearchForm(request.GET)
    if kind not in FORMATS:
        raise Http404
    if not form.is_valid():
        raise InvalidInput(_("The filter is not valid."))
    detail = {"by": sorted(_chosen(form, request)), "format": kind}
    record("audit.export", actor=user, detail=detail)
    rows = selectors.all_of(user, form.wanted(user))
    name = f"audit-{timezone.localdate().isoformat()}.{kind}"
    if kind == "csv":
        return csv_response(name, exports.HEADING, exports.csv_rows(rows))
    return StreamingHttpResponse(
        exports.json_lines(rows),
        content_type="application/jsonl",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store, private",
        },
    )


@requires(Permission.VIEW_ACCESSES, asked_later=True)
@require_safe
def accesses(request: HttpRequest, patient_id: UUID) -> HttpResponse:
    """Who looked at a patient's case record, and who wrote in it."""
    user = cast(User, request.user)
    patient = get_patient(user, patient_id)
    policies.require(user, Permission.VIEW_ACCESSES, patient.site_id)
    page = selectors.accesses_of(patient, before=_number(request, "before"))
    record("patient.accesses", patient, actor=user, detail={"shown": len(page.events)})
    context = {
        "patient": patient,
        "rows": rows_for(user, page.events),
        "older_url": _neighbour({}, "before", page.older),
    }
    return render(request, "oversight/accesses.html", context)


def _chosen(form: SearchForm, request: HttpRequest) -> dict[str, str]:
    """What was filled in, by the field's name."""
    return {name: request.GET[name] for name in form.fields if request.GET.get(name, "").strip()}


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput(
            _("This page of the list is gone. Start from the first."), code="bad_cursor"
        )
    return int(text)


def _neighbour(chosen: dict[str, str], name: str, number: int | None) -> str:
    return "?" + urlencode({**chosen, name: str(number)}) if number is not None else ""
