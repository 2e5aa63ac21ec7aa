"""Addresses of the worklist under ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from screening.worklist import api

urlpatterns = [
    path("worklist/", api.WorklistView.as_view(), name="api-worklist"),
    path("worklist/<uuid:study_id>/claim/", api.ClaimView.as_view(), name="api-worklist-claim"),
]
