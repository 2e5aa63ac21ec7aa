"""Pages: legal hold and erasure of a patient, and how long a site keeps records."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission, home_site, require
from screening.accounts.reauthentication import require_recent_sign_in
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.patients import holds
from screening.patients.models import Patient
from screening.patients.selectors import get_patient
from screening.retention import periods, selectors, services
from screening.retention.forms import EraseForm, HoldForm, RuleForm
from screening.retention.models import RetentionRule
from screening.retention.plan import count_rows


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _patient(request: HttpRequest, patient_id: UUID, permission: Permission) -> Patient:
    patient = get_patient(request.user, patient_id)
    require(request.user, permission, patient.site_id)
    return patient


@requires(Permission.HOLD_PATIENTS, asked_later=True)
@require_http_methods(["GET", "HEAD", "POST"])
def hold(request: HttpRequest, patient_id: UUID) -> HttpResponse:
    """Place or lift a legal hold; every one there was."""
    patient = _patient(request, patient_id, Permission.HOLD_PATIENTS)
    active = holds.active_hold(patient)
    form = HoldForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        act = holds.lift_hold if request.POST.get("act") == "lift" else holds.place_hold
        try:
            act(actor=_user(request), patient=patient, reason=form.cleaned_data["reason"])
        except (Conflict, InvalidInput) as error:
            form.add_error(error.field, error.message)
        else:
            messages.success(request, _("The legal hold is noted."))
            return redirect("record:case_record", patient.pk)
    if request.method != "POST":
        record("patient.view", patient)
    context = {"patient": patient, "active": active, "form": form, "holds": holds.holds_of(patient)}
    return render(request, "retention/hold.html", context)


@requires(Permission.ERASE_PATIENTS, asked_later=True)
@require_recent_sign_in
@require_http_methods(["GET", "HEAD", "POST"])
def erase(request: HttpRequest, patient_id: UUID) -> HttpResponse:
    """Remove a patient for good, after a look at what would go."""
    patient = _patient(request, patient_id, Permission.ERASE_PATIENTS)
    form = EraseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            done = services.erase_patient(
                actor=_user(request), patient=patient, **form.cleaned_data
            )
        except (Conflict, InvalidInput) as error:
            form.add_error(error.field, error.message)
        else:
            messages.success(
                request,
                _("The patient is erased. Certificate: %(key)s.") % {"key": done.pk},
            )
            return redirect("retention:settings")
    if request.method != "POST":
        record("patient.view", patient)
    counts = count_rows(patient.pk)
    context = {
        "patient": patient,
        "form": form,
        "active": holds.active_hold(patient),
        "studies": counts.get("studies.Study", 0),
        "images": counts.get("studies.Image", 0),
        "readings": counts.get("reading.Reading", 0),
        "reports": counts.get("report.Report", 0),
    }
    return render(request, "retention/erase.html", context)


@requires(Permission.SET_RETENTION)
@require_http_methods(["GET", "HEAD", "POST"])
def rule(request: HttpRequest) -> HttpResponseBase:
    """How long records are kept, whose would go, and what was erased."""
    user = _user(request)
    site = home_site(user, Permission.SET_RETENTION)
    now = RetentionRule.objects.filter(site=site).first()
    initial = {"years": now.years, "minors_until": now.minors_until} if now else {}
    form = RuleForm(request.POST or None, initial=initial)
    found: list[Patient] | None = None
    if request.method == "POST" and form.is_valid():
        years, minors = form.cleaned_data["years"], form.cleaned_data["minors_until"]
        if request.POST.get("act") == "preview":
            if years:
                found = periods.preview(user, site, years=years, minors_until=minors)
            else:
                form.add_error("years", _("Enter the years of which you want a preview."))
        else:
            return _set_rule(request, years, minors)
    context = {
        "site": site,
        "rule": now,
        "form": form,
        "found": found,
        "most": periods.AT_ONCE,
        "erasures": selectors.erasures_of(user, site),
    }
    return render(request, "retention/settings.html", context)


@require_recent_sign_in
def _set_rule(request: HttpRequest, years: int | None, minors: int | None) -> HttpResponse:
    user = _user(request)
    site = home_site(user, Permission.SET_RETENTION)
    periods.set_rule(actor=user, site=site, years=years, minors_until=minors)
    messages.success(request, _("The rule is set."))
    return redirect("retention:settings")


@requires(Permission.ERASE_PATIENTS, asked_later=True)
@require_GET
def certificate(request: HttpRequest, erasure_id: UUID) -> JsonResponse:
    """The certificate of an erasure, as a download."""
    erasure = selectors.get_erasure(_user(request), erasure_id)
    record("erasure.certificate", erasure, site_id=erasure.site_id)
    response = JsonResponse(selectors.certificate_of(erasure), json_dumps_params={"indent": 1})
    response["Content-Disposition"] = f'attachment; filename="erasure-{erasure.pk}.json"'
    return response
