"""Pages: finding, registering and correcting patients."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission, require, sites_where
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.patients import selectors, services
from screening.patients.forms import PatientForm


@requires(Permission.VIEW_PATIENTS)
@require_safe
def patient_list(request: HttpRequest) -> HttpResponse:
    """Search; htmx asks for the results alone while somebody types."""
    text = request.GET.get("q", "")
    page = selectors.search_patients(request.user, text=text, cursor=request.GET.get("page", ""))
    record("patient.search", detail={"shown": len(page.patients), "narrowed": bool(text.strip())})
    context = {"page": page, "q": text}
    only_results = request.headers.get("HX-Request") and not request.headers.get("HX-Boosted")
    template = "patients/results.html" if only_results else "patients/list.html"
    return render(request, template, context)


@requires(Permission.EDIT_PATIENTS)
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Register a patient at the person's own site, or at the one that the person chooses."""
    actor = cast(User, request.user)
    sites = list(sites_where(actor, Permission.EDIT_PATIENTS))
    form = PatientForm(request.POST or None)
    if len(sites) > 1:
        form.ask_for_site(sites)
    if request.method == "POST" and form.is_valid():
        site = form.chosen_site() if len(sites) > 1 else sites[0]
        try:
            patient = services.create_patient(actor=actor, site=site, **form.values())
        except (Conflict, InvalidInput) as error:
            form.add_error(error.field, error.message)
        else:
            messages.success(request, _("The patient is registered."))
            return redirect("record:case_record", patient.pk)
    context = {"form": form, "site": sites[0] if len(sites) == 1 else None}
    return render(request, "patients/form.html", context)


@requires(Permission.EDIT_PATIENTS)
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, patient_id: UUID) -> HttpResponse:
    """Correct a patient's data."""
    actor = cast(User, request.user)
    patient = selectors.get_patient(actor, patient_id)
    require(actor, Permission.EDIT_PATIENTS, patient.site_id)
    form = PatientForm(request.POST) if request.method == "POST" else PatientForm.of(patient)
    if request.method == "POST" and form.is_valid():
        try:
            services.update_patient(
                actor=actor,
                patient=patient,
                changes=form.values(),
                seen=form.cleaned_data["seen"],
            )
        except (Conflict, InvalidInput) as error:
            form.add_error(error.field, error.message)
        else:
            messages.success(request, _("The changes are saved."))
            return redirect("record:case_record", patient.pk)
    if request.method != "POST":
        record("patient.view", patient)
    return render(request, "patients/form.html", {"form": form, "patient": patient})
