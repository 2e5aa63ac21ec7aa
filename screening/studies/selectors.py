"""Reading studies and images, for the views of this floor and those above."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.shortcuts import get_object_or_404

from screening.accounts.models import User
from screening.studies.models import Image


def get_image(user: User | AnonymousUser, image_id: UUID) -> Image:
    """The image with its study, or ``Http404`` where ``user`` may not know of it."""
    return get_object_or_404(Image.objects.visible_to(user).select_related("study"), pk=image_id)


def image_names_in_use(keys: Collection[UUID]) -> set[str]:
    """The stored names that the images with these keys point at."""
    rows = Image.objects.filter(pk__in=keys).values_list("original", "display", "thumbnail")
    return {name for row in rows for name in row}
