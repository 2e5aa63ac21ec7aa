"""The Retry button."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.inference import services
from screening.studies.selectors import get_image


@requires(Permission.RETRY_JOBS)
@require_POST
def retry(request: HttpRequest, image_id: UUID) -> HttpResponse:
    """Queue a failed image once more and go back to its study."""
    user = cast(User, request.user)
    image = get_image(user, image_id)
    services.retry_job(actor=user, image=image)
    messages.success(request, _("The image is queued again."))
    return redirect("record:study", image.study_id)
