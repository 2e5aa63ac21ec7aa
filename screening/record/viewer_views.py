"""The viewer page, and what its script keeps on the server."""

from __future__ import annotations

import json
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from screening.accounts.access import requires, signed_in
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.core.errors import InvalidInput
from screening.reading import measurements
from screening.record import viewer
from screening.record.viewer_preferences import save_preferences
from screening.studies.models import Image
from screening.studies.selectors import get_image

MOST_BYTES = 64 * 1024


@requires(Permission.VIEW_STUDIES)
@require_safe
def viewer_page(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """The pictures of a study on a dark screen, with tools."""
    page = viewer.open_viewer(
        actor=cast(User, request.user),
        study_id=study_id,
        image=request.GET.get("image", ""),
        prior=request.GET.get("prior", ""),
    )
    config = {**page.config, "csrf": get_token(request)}
    return render(request, "record/viewer.html", {"page": page, "config": json.dumps(config)})


@requires(Permission.VIEW_STUDIES)
@require_http_methods(["GET", "PUT"])
def image_measurements(request: HttpRequest, image_id: UUID) -> HttpResponse:
    """The person's own measurements on an image: ``{items, locked}``; PUT replaces the items."""
    user = cast(User, request.user)
    image = get_image(user, image_id)
    if request.method == "PUT":
        sent = _sent(request)
        measurements.save_measurements(
            actor=user, image=image, items=sent.get("items") if isinstance(sent, dict) else None
        )
    return JsonResponse(_measured(user, image))


def _measured(user: User, image: Image) -> dict[str, Any]:
    return {
        "items": measurements.own_measurements(user, image),
        "locked": not measurements.may_measure(user, image),
    }


@signed_in
@require_http_methods(["PUT"])
def viewer_preferences(request: HttpRequest) -> HttpResponse:
    """Remember how the person likes the viewer."""
    return JsonResponse(save_preferences(actor=cast(User, request.user), values=_sent(request)))


def _sent(request: HttpRequest) -> Any:
    """The JSON of a request. Raises ``InvalidInput`` where there is none."""
    try:
        if len(request.body) > MOST_BYTES:
            raise InvalidInput("That is too much.", code="too_large")
        return json.loads(request.body)
    except ValueError:
        raise InvalidInput("Send JSON.", code="bad_json") from None
