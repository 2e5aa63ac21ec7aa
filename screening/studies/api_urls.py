"""Addresses of confirmed diagnoses under ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from screening.studies import api

urlpatterns = [
    path("studies/<uuid:study_id>/diagnoses/", api.DiagnosisList.as_view(), name="api-diagnoses"),
]
