"""Addresses of holds, erasures and retention."""

from __future__ import annotations

from django.urls import path

from screening.retention import views

app_name = "retention"

urlpatterns = [
    path("patients/<uuid:patient_id>/hold/", views.hold, name="hold"),
    path("patients/<uuid:patient_id>/erase/", views.erase, name="erase"),
    path("site/retention/", views.rule, name="settings"),
    path("site/retention/erasures/<uuid:erasure_id>.json", views.certificate, name="certificate"),
]
