"""Addresses of the viewer and of what its script keeps."""

from __future__ import annotations

from django.urls import path

from screening.record import viewer_views

viewer_patterns = [
    path("studies/<uuid:study_id>/view/", viewer_views.viewer_page, name="viewer"),
    path(
        "images/<uuid:image_id>/measurements/",
        viewer_views.image_measurements,
        name="image_measurements",
    ),
    path("viewer/preferences/", viewer_views.viewer_preferences, name="viewer_preferences"),
]
