"""Addresses of the patients' pages; the case record itself belongs to ``reading``."""

from __future__ import annotations

from django.urls import path

from screening.patients import views

app_name = "patients"

urlpatterns = [
    path("patients/", views.patient_list, name="list"),
    path("patients/new/", views.create, name="create"),
    path("patients/<uuid:patient_id>/edit/", views.edit, name="edit"),
]
