"""Addresses of trying again."""

from __future__ import annotations

from django.urls import path

from screening.inference import views

app_name = "inference"

urlpatterns = [
    path("images/<uuid:image_id>/retry/", views.retry, name="retry"),
]
