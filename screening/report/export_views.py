"""What leaves the portal as CSV, each with one line in the audit."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from screening.accounts import policies
from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import InvalidInput
from screening.core.spreadsheets import csv_response
from screening.patients.selectors import get_patient
from screening.record.forms import HistoryFilterForm
from screening.record.selectors import HistoryFilter
from screening.report import exports
from screening.worklist.forms import FilterForm


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


def _today() -> str:
    return timezone.localdate().isoformat()


@requires(Permission.CREATE_EXPORTS)
@require_GET
def history_csv(request: HttpRequest) -> HttpResponseBase:
    """The studies that the history's filter shows."""
    user = _user(request)
    form = HistoryFilterForm(request.GET or None)
    if form.is_bound and not form.is_valid():
        raise InvalidInput(_("The filter is not valid."))
    wanted = form.wanted() if form.is_bound else HistoryFilter()
    rows = exports.history_rows(user, wanted)
    record("export.history", actor=user, detail={"filter": sorted(form.changed_data)})
    return csv_response(f"studies-{_today()}.csv", exports.STUDY_HEADING, rows)


@requires(Permission.CREATE_EXPORTS)
@require_GET
def patient_csv(request: HttpRequest, patient_id: UUID) -> HttpResponseBase:
    """Every study of one patient."""
    user = _user(request)
    patient = get_patient(user, patient_id)
    policies.require(user, Permission.CREATE_EXPORTS, patient.site_id)
    record("export.patient", patient, actor=user)
    rows = exports.patient_rows(user, patient)
    return csv_response(f"case-record-{patient.pk}.csv", exports.STUDY_HEADING, rows)


@requires(Permission.CREATE_EXPORTS)
@require_GET
def worklist_csv(request: HttpRequest) -> HttpResponseBase:
    """What is unread, as the worklist's filter shows it."""
    user = _user(request)
    form = FilterForm(request.GET or None)
    if form.is_bound and not form.is_valid():
        raise InvalidInput(_("The filter is not valid."))
    rows = exports.worklist_rows(user, form.wanted())
    record("export.worklist", actor=user, detail={"rows": len(rows)})
    return csv_response(f"worklist-{_today()}.csv", exports.WORKLIST_HEADING, rows)
