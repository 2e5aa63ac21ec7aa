"""The page that shows two studies of a patient beside each other."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.patients.selectors import get_patient
from screening.record.timeline import compare


@requires(Permission.VIEW_STUDIES)
@require_safe
def comparison(request: HttpRequest, patient_id: UUID) -> HttpResponse:
    """Studies ``a`` (left) and ``b`` (right); without them the newest two."""
    user = cast(User, request.user)
    patient = get_patient(user, patient_id)
    found = compare(
        actor=user,
        patient=patient,
        left=request.GET.get("a", ""),
        right=request.GET.get("b", ""),
    )
    return render(request, "record/compare.html", {"patient": patient, "found": found})
