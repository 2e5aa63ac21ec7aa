"""Two files that programs look for: whom to tell of a weakness, and that nothing is indexed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from screening.accounts.access import public

HOLDS_FOR = timedelta(days=180)  # RFC 9116 asks for less than a year.


@public
@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """Whom to tell of a weakness (RFC 9116); there is none where nobody was named."""
    if not settings.SECURITY_CONTACT:
        raise Http404
    until = (datetime.now(UTC) + HOLDS_FOR).strftime("%Y-%m-%dT00:00:00Z")
    lines = [
        f"Contact: {settings.SECURITY_CONTACT}",
        f"Expires: {until}",
        "Preferred-Languages: en, de",
        f"Canonical: {request.build_absolute_uri()}",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@public
@require_safe
def robots_txt(request: HttpRequest) -> HttpResponse:
    """Nothing here is for search engines, not even the sign-in page."""
    return HttpResponse("User-agent: *\nDisallow: /\n", content_type="text/plain; charset=utf-8")
