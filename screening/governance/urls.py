"""Addresses of what an admin decides about models."""

from __future__ import annotations

from django.urls import path

from screening.governance import calibration_views, operating_point_views, version_views

app_name = "governance"

urlpatterns = [
    path("site/operating-points/", operating_point_views.operating_points, name="operating_points"),
    path("site/calibration/", calibration_views.calibration, name="calibration"),
    path("models/versions/", version_views.versions_list, name="versions"),
    path("models/versions/promote/", version_views.promote, name="promote"),
    path("models/versions/shadow/", version_views.start_shadow, name="start_shadow"),
    path("models/versions/shadow/stop/", version_views.stop_shadow, name="stop_shadow"),
    path("models/versions/shadow/look-back/", version_views.look_back, name="look_back"),
]
