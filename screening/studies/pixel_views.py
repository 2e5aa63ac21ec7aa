"""The true grey values of an image, for the viewer's script."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.studies.pixels import serve_pixels
from screening.studies.selectors import get_image


@requires(Permission.VIEW_STUDIES)
@require_GET
def image_pixels(request: HttpRequest, image_id: UUID) -> HttpResponseBase:
    """Values and their description in one stream (``screening.studies.pixels``)."""
    image = get_image(cast(User, request.user), image_id)
    return serve_pixels(image, gzipped="gzip" in request.headers.get("Accept-Encoding", ""))
