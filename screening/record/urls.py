"""Addresses of the case record, the history and the study page."""

from __future__ import annotations

from django.urls import path

from screening.record import model_comparison, timeline_views, views
from screening.record.viewer_urls import viewer_patterns

app_name = "record"

urlpatterns = [
    *viewer_patterns,
    path("", views.home, name="home"),
    path("patients/<uuid:patient_id>/", views.case_record, name="case_record"),
    path("patients/<uuid:patient_id>/compare/", timeline_views.comparison, name="compare"),
    path("studies/", views.history, name="history"),
    path("studies/<uuid:study_id>/", views.study, name="study"),
    path("studies/<uuid:study_id>/state/", views.study_state, name="study_state"),
    path("images/<uuid:image_id>/heatmap/", views.heatmap, name="heatmap"),
    path("models/", views.models, name="models"),
    path(
        "models/versions/comparison/",
        model_comparison.model_comparison,
        name="model_comparison",
    ),
    path("models/<uuid:model_id>/", views.model, name="model"),
]
