"""Heatmaps, and the Retry button."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.inference import selectors, services
from screening.inference.serving import serve_heatmap
from screening.studies.selectors import get_image


@requires(Permission.VIEW_STUDIES)
@require_GET
def heatmap(request: HttpRequest, image_id: UUID) -> HttpResponseBase:
    """What in the picture speaks for the class, as an overlay."""
    return serve_heatmap(selectors.get_result_of_image(cast(User, request.user), image_id))


@requires(Permission.RETRY_JOBS)
@require_POST
def retry(request: HttpRequest, image_id: UUID) -> HttpResponse:
    """Queue a failed image once more and go back to its study."""
    user = cast(User, request.user)
    image = get_image(user, image_id)
    services.retry_job(actor=user, image=image)
    messages.success(request, "The image is queued again.")
    return redirect("reading:study", image.study_id)
