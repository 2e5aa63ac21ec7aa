"""``/api/v1/patients/``."""

from __future__ import annotations

from django.urls import path

from screening.patients.api import PatientDetail, PatientList

urlpatterns = [
    path("patients/", PatientList.as_view(), name="api-patients"),
    path("patients/<uuid:patient_id>/", PatientDetail.as_view(), name="api-patient"),
]
