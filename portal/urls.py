"""The portal's addresses."""

from __future__ import annotations

from django.urls import include, path

from portal.health import healthz, readyz
from portal.pending import there

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("api/v1/", include("portal.api_urls")),
    *(
        path("", include(f"screening.{room}.urls"))
        for room in ("accounts", "patients", "studies", "inference", "reading")
        if there(f"screening.{room}.urls")
    ),
]
