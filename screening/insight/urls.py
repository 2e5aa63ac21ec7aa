"""Addresses of the site's own page and of its dashboard."""

from __future__ import annotations

from django.urls import path

from screening.insight import views

app_name = "insight"

urlpatterns = [
    path("site/", views.site, name="site"),
    path("site/dashboard/", views.dashboard, name="dashboard"),
    path("site/dashboard.csv", views.figure_csv, name="figure_csv"),
]
