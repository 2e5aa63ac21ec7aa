"""Addresses of the audit's pages."""

from __future__ import annotations

from django.urls import path

from screening.oversight import views

app_name = "oversight"

urlpatterns = [
    path("site/audit/", views.audit, name="audit"),
    path("site/audit/export/", views.export, name="export"),
    path("patients/<uuid:patient_id>/accesses/", views.accesses, name="accesses"),
]
