"""Addresses of readings under ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from screening.reading import api

urlpatterns = [
    path("studies/<uuid:study_id>/readings/", api.StudyReadings.as_view(), name="api-readings"),
    path(
        "studies/<uuid:study_id>/readings/draft/",
        api.ReadingDraft.as_view(),
        name="api-reading-draft",
    ),
    path(
        "studies/<uuid:study_id>/readings/first-impression/",
        api.ReadingFirstImpression.as_view(),
        name="api-reading-first-impression",
    ),
    path(
        "studies/<uuid:study_id>/readings/sign/",
        api.ReadingSignature.as_view(),
        name="api-reading-sign",
    ),
    path(
        "readings/<uuid:reading_id>/addenda/",
        api.ReadingAddenda.as_view(),
        name="api-reading-addenda",
    ),
]
