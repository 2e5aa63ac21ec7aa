"""The portal's addresses."""

from __future__ import annotations

from django.urls import include, path

from portal.health import healthz, readyz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("api/v1/", include("portal.api_urls")),
    path("", include("screening.accounts.urls")),
    path("", include("screening.patients.urls")),
    path("", include("screening.studies.urls")),
    path("", include("screening.inference.urls")),
    path("", include("screening.reading.urls")),
]

handler400 = "portal.errors.bad_request"
handler404 = "portal.errors.not_found"
handler500 = "portal.errors.fault"
