"""Everything under ``/api/v1/``."""

from __future__ import annotations

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from portal.api_docs import ApiDocsView
from portal.pending import there

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", ApiDocsView.as_view(), name="api-docs"),
    *(
        path("", include(f"screening.{room}.api_urls"))
        for room in ("accounts", "patients", "reading")
        if there(f"screening.{room}.api_urls")
    ),
]
