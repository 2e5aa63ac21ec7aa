"""The portal's addresses."""

from __future__ import annotations

from django.urls import include, path

from portal.health import healthz, readyz
from portal.notices import robots_txt, security_txt

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("robots.txt", robots_txt, name="robots"),
    path(".well-known/security.txt", security_txt, name="security-txt"),
    path("api/v1/", include("portal.api_urls")),
    path("", include("screening.accounts.urls")),
    path("", include("screening.patients.urls")),
    path("", include("screening.studies.urls")),
    path("", include("screening.inference.urls")),
    path("", include("screening.governance.urls")),
    path("", include("screening.worklist.urls")),
    path("", include("screening.reading.urls")),
    path("", include("screening.emergency.urls")),
    path("", include("screening.record.urls")),
    path("", include("screening.report.urls")),
    path("", include("screening.insight.urls")),
    path("", include("screening.backup.urls")),
    path("", include("screening.sharing.urls")),
    path("", include("screening.oversight.urls")),
    path("", include("screening.retention.urls")),
]

handler400 = "portal.errors.bad_request"
handler404 = "portal.errors.not_found"
handler500 = "portal.errors.fault"
