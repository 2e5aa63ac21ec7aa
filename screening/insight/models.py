"""What the dashboards are drawn from: one row an image, and one row a day."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where
from screening.core.models import BaseModel
from screening.core.row_rules import BySite, Through
from screening.studies.models import Image


class ImageStatistics(models.Model):
    """How an image looks as a whole, measured on its display rendition (8 bit, 0 to 1).

    ``mean_grey`` and ``contrast`` (standard deviation) are of the greys; ``sharpness`` is the
    mean step between neighbours at a width of 512 pixels, over the contrast. See
    ``insight.measuring``. All three are empty where the rendition could not be read.
    """

    image = models.OneToOneField(
        Image, on_delete=models.CASCADE, primary_key=True, related_name="statistics"
    )
    mean_grey = models.FloatField(null=True)
    contrast = models.FloatField(null=True)
    sharpness = models.FloatField(null=True)
    measured_at = models.DateTimeField(auto_now_add=True)

    row_security = Through("image")

    class Meta:
        verbose_name_plural = "image statistics"

    def __str__(self) -> str:
        return f"statistics of image {self.image_id}"


class DailyFiguresQuerySet(models.QuerySet["DailyFigures"]):
    def visible_to(self, user: User | AnonymousUser) -> DailyFiguresQuerySet:
        """The figures of every site whose dashboard ``user`` may see."""
        return self.filter(site__in=sites_where(user, Permission.VIEW_INSIGHT))


class DailyFigures(BaseModel):
    """What was counted of the studies that arrived at a site on one day.

    The day is the site's own: it begins and ends at midnight in the site's time zone as it was
    when the day was counted. ``counts`` holds plain counters and histograms
    (``insight.counting.Counts``), which add up over days; no patient can be found in it.
    """

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    counts = models.JSONField()
    counted_at = models.DateTimeField()

    row_security = BySite()

    objects = DailyFiguresQuerySet.as_manager()

    class Meta:
        ordering = ("day",)
        verbose_name_plural = "daily figures"
        constraints = (
            models.UniqueConstraint(fields=("site", "day"), name="daily_figures_once_per_day"),
        )

    def __str__(self) -> str:
        return f"figures of {self.day}"
