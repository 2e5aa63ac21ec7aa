"""How long a site keeps the records of its patients."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.core.models import BaseModel
from screening.core.row_rules import BySite

GRACE = timedelta(days=7)
"""So long after it was set a rule removes nothing: a slip of the finger can be undone."""


def after_the_grace() -> datetime:
    return timezone.now() + GRACE


class RetentionRule(BaseModel):
    """A site without a row, or with an empty ``years``, keeps everything.

    A record goes ``years`` after the last activity in it: a study, a reading, an addendum, a
    report, a diagnosis, or a change of the patient's data. With ``minors_until`` the years of
    somebody who was younger begin at that age.
    """

    row_security = BySite()

    site = models.OneToOneField(Site, on_delete=models.CASCADE, related_name="retention_rule")
    years = models.PositiveSmallIntegerField(null=True, blank=True)
    minors_until = models.PositiveSmallIntegerField(null=True, blank=True)
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    effective_at = models.DateTimeField(default=after_the_grace)

    def __str__(self) -> str:
        return f"retention rule of {self.site_id}"
