"""Addresses of what governs the models under ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from screening.governance import api

urlpatterns = [path("models/", api.AnsweringList.as_view(), name="api-models")]
