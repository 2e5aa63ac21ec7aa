"""What the pages of this room remember of people."""

from __future__ import annotations

from django.db import models

from screening.accounts.models import User
from screening.core.models import BaseModel


class ViewerPreferences(BaseModel):
    """How somebody likes the viewer; ``values`` is as ``record.viewer_preferences`` has it."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="viewer_preferences")
    values = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "viewer preferences"

    def __str__(self) -> str:
        return f"viewer preferences of {self.user_id}"
