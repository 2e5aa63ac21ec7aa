"""Addresses of de-identified exports."""

from __future__ import annotations

from django.urls import path

from screening.sharing import views

app_name = "sharing"

urlpatterns = [
    path("exports/", views.exports, name="list"),
    path("exports/new/", views.new, name="new"),
    path("exports/preview/<uuid:image_id>/", views.preview, name="preview"),
    path("exports/<uuid:export_id>/", views.export, name="export"),
    path("exports/<uuid:export_id>/state/", views.state, name="state"),
    path("exports/<uuid:export_id>/looked/", views.looked, name="looked"),
    path("exports/<uuid:export_id>/remove/", views.remove, name="remove"),
    path("exports/<uuid:export_id>/file/", views.download, name="download"),
    path("exports/<uuid:export_id>/who-is-who.csv", views.who_is_who, name="who_is_who"),
]
