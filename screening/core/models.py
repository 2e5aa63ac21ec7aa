"""What every row has in common."""

from __future__ import annotations

import uuid

from django.db import models


class BaseModel(models.Model):
    """A row with an unguessable key and two timestamps (UTC)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
