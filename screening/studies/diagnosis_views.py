"""Pages: a study's confirmed diagnosis, and many of them from a file."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from screening.accounts import policies
from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission, home_site
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput, PortalError
from screening.studies import diagnosis_import, selectors
from screening.studies.diagnoses import record_diagnosis, withdraw_diagnosis
from screening.studies.forms import DiagnosisForm, ImportForm
from screening.studies.models import Study


@requires(Permission.RECORD_DIAGNOSES, asked_later=True)
@require_http_methods(["GET", "HEAD", "POST"])
def diagnosis(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """What the study's patient turned out to have: record it, correct it, see the history."""
    actor = cast(User, request.user)
    study = selectors.get_study(actor, study_id)
    policies.require(actor, Permission.RECORD_DIAGNOSES, study.site_id)
    if request.method != "POST":
        record("diagnosis.view", study, actor=actor)
        form = DiagnosisForm.after(selectors.current_diagnosis(actor, study))
        return _show(request, study, form)
    form = DiagnosisForm(request.POST, auto_id="diagnosis-%s")
    if not form.is_valid():
        return _show(request, study, form, status=422)
    try:
        record_diagnosis(actor=actor, study=study, **form.values())
    except (Conflict, InvalidInput) as error:
        form.add_error(error.field, error.message)
        return _show(request, study, form, status=error.http_status)
    messages.success(request, _("The confirmed diagnosis is recorded."))
    return redirect("record:study", study.pk)


@requires(Permission.RECORD_DIAGNOSES, asked_later=True)
@require_POST
def withdraw(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """Take the study's confirmed diagnosis back."""
    actor = cast(User, request.user)
    study = selectors.get_study(actor, study_id)
    policies.require(actor, Permission.RECORD_DIAGNOSES, study.site_id)
    try:
        withdraw_diagnosis(actor=actor, study=study, seen=request.POST.get("seen", ""))
    except Conflict as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The confirmed diagnosis is withdrawn."))
    return redirect("studies:diagnosis", study.pk)


def _show(
    request: HttpRequest, study: Study, form: DiagnosisForm, status: int = 200
) -> HttpResponse:
    history = selectors.diagnoses_of(request.user, study)
    context = {
        "study": study,
        "form": form,
        "history": history,
        "current": next((row for row in history if row.superseded_at is None), None),
    }
    return render(request, "studies/diagnosis.html", context, status=status)


@requires(Permission.IMPORT_DIAGNOSES)
@require_http_methods(["GET", "HEAD", "POST"])
def import_diagnoses(request: HttpRequest) -> HttpResponse:
    """Diagnoses from a file: first a report of what would be recorded, then the recording."""
    actor = cast(User, request.user)
    site = home_site(actor, Permission.IMPORT_DIAGNOSES)
    context: dict[str, Any] = {
        "site": site,
        "form": ImportForm(),
        "columns": diagnosis_import.COLUMNS,
        "max_rows": diagnosis_import.MAX_ROWS,
    }
    if request.method != "POST":
        return render(request, "studies/diagnosis_import.html", context)
    confirmed = "text" in request.POST
    try:
        if confirmed:
            text, replace = request.POST["text"], bool(request.POST.get("replace"))
        else:
            form = ImportForm(request.POST, request.FILES)
            context["form"] = form
            if not form.is_valid():
                return render(request, "studies/diagnosis_import.html", context, status=422)
            text = diagnosis_import.read_text(form.cleaned_data["file"])
            replace = form.cleaned_data["replace"]
        judge = diagnosis_import.import_rows if confirmed else diagnosis_import.judge_rows
        report = judge(actor=actor, site=site, text=text, replace=replace)
    except PortalError as error:
        context["problem"] = error
        return render(request, "studies/diagnosis_import.html", context, status=error.http_status)
    if confirmed:
        done = len(report.fitting)
        said = ngettext(
            "%(count)s diagnosis was recorded.", "%(count)s diagnoses were recorded.", done
        )
        messages.success(request, said % {"count": done})
    context |= {"report": report, "text": text, "replace": replace, "done": confirmed}
    return render(request, "studies/diagnosis_import.html", context)
