"""Address of the page of backups."""

from __future__ import annotations

from django.urls import path

from screening.backup import views

app_name = "backup"

urlpatterns = [path("site/backups/", views.overview, name="overview")]
