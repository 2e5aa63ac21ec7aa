"""Addresses of reports under ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from screening.report import api

urlpatterns = [
    path("studies/<uuid:study_id>/reports/", api.ReportList.as_view(), name="api-reports"),
    path(
        "studies/<uuid:study_id>/reports/preliminary/",
        api.PreliminaryPdf.as_view(),
        name="api-report-preliminary",
    ),
    path("reports/<uuid:report_id>/pdf/", api.ReportPdf.as_view(), name="api-report-pdf"),
]
