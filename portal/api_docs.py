"""The page on which the API can be browsed, and the schema behind it.

Assets come from the sidecar package, and the set-up script is a request of its own, because the
content policy allows no inline script and no other host.
"""

from __future__ import annotations

from drf_spectacular.views import SpectacularSwaggerSplitView


class ApiDocsView(SpectacularSwaggerSplitView):
    """Swagger UI in a page without inline script or style."""

    url_name = "api-schema"
    template_name = "portal/api_docs.html"
