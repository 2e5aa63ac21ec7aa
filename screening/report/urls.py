"""Addresses of reports, of the public check, and of what leaves the portal as CSV."""

from __future__ import annotations

from django.urls import path

from screening.report import export_views, views

app_name = "report"

urlpatterns = [
    path("studies/<uuid:study_id>/reports/", views.reports, name="reports"),
    path("studies/<uuid:study_id>/reports/issue/", views.issue, name="issue"),
    path("studies/<uuid:study_id>/reports/preliminary.pdf", views.preliminary, name="preliminary"),
    path("reports/<uuid:report_id>/pdf/", views.download, name="download"),
    path("reports/<uuid:report_id>/withdraw/", views.withdraw, name="withdraw"),
    path("verify/", views.verify, name="verify"),
    path("verify/<str:code>/", views.verify_code, name="verify_code"),
    path("studies/csv/", export_views.history_csv, name="history_csv"),
    path("worklist/csv/", export_views.worklist_csv, name="worklist_csv"),
    path("patients/<uuid:patient_id>/csv/", export_views.patient_csv, name="patient_csv"),
]
