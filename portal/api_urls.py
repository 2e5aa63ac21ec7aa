"""Everything under ``/api/v1/``."""

from __future__ import annotations

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from portal.api_docs import ApiDocsView

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", ApiDocsView.as_view(), name="api-docs"),
    path("", include("screening.accounts.api_urls")),
    path("", include("screening.patients.api_urls")),
    path("", include("screening.studies.api_urls")),
    path("", include("screening.worklist.api_urls")),
    path("", include("screening.reading.api_urls")),
    path("", include("screening.governance.api_urls")),
    path("", include("screening.record.api_urls")),
    path("", include("screening.report.api_urls")),
]
