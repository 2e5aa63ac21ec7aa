"""Addresses of the reading room."""

from __future__ import annotations

from django.urls import path

from screening.reading import views

app_name = "reading"

urlpatterns = [
    path("", views.home, name="home"),
    path("patients/<uuid:patient_id>/", views.case_record, name="case_record"),
    path("studies/", views.history, name="history"),
    path("studies/<uuid:study_id>/", views.study, name="study"),
    path("studies/<uuid:study_id>/state/", views.study_state, name="study_state"),
    path("models/", views.models, name="models"),
    path("models/<uuid:model_id>/", views.model, name="model"),
]
