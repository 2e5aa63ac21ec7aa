"""What a site's admin decides about the models that answer there."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where
from screening.core.models import BaseModel
from screening.core.row_rules import NotLimited
from screening.inference.models import ModelVersion


class Aim(models.TextChoices):
    """What an operating point is chosen for."""

    PACKAGE = "package", _("The model's own")
    SENSITIVITY = "sensitivity", _("Sensitivity first")
    SPECIFICITY = "specificity", _("Specificity first")
    THRESHOLD = "threshold", _("A threshold of our own")


class SiteOperatingPointQuerySet(models.QuerySet["SiteOperatingPoint"]):
    def visible_to(self, user: User | AnonymousUser) -> SiteOperatingPointQuerySet:
        """From where on a site calls COVID-19 is no secret to whoever reads its answers."""
        return self.filter(site__in=sites_where(user, Permission.VIEW_STUDIES))


class SiteOperatingPoint(BaseModel):
    """From what probability on COVID-19 is called at a site, for one model version. Append-only.

    The row with the highest ``number`` of a site and version holds; an ``aim`` of ``package`` goes
    back to the model's own point and has no ``threshold``. ``calibration_sha256`` names the
    calibration of the probabilities that the threshold cuts: beside another one it is not used.
    ``expected`` is what the package's own curve said of the threshold (``ml.operating``).

    Database triggers (``governance.triggers``) refuse UPDATE and DELETE.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="operating_points")
    number = models.PositiveIntegerField()
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="operating_points"
    )
    calibration_sha256 = models.CharField(max_length=64)
    aim = models.CharField(max_length=12, choices=Aim.choices)
    target = models.FloatField(null=True, blank=True)
    threshold = models.FloatField(null=True, blank=True)
    expected = models.JSONField(default=dict, blank=True)
    reason = models.TextField()
    chosen_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    chosen_at = models.DateTimeField(auto_now_add=True)

    row_security = NotLimited(
        "No patient data; answers are held against it wherever they are read."
    )

    objects = SiteOperatingPointQuerySet.as_manager()

    class Meta:
        ordering = ("site", "-number")
        constraints = (
            models.UniqueConstraint(fields=("site", "number"), name="operating_point_in_order"),
            models.CheckConstraint(
                condition=models.Q(aim=Aim.PACKAGE, threshold__isnull=True)
                | models.Q(threshold__gt=0.0, threshold__lt=1.0),
                name="operating_point_has_threshold",
            ),
        )
        indexes = (
            models.Index(
                fields=("site", "model_version", "-number"), name="operating_point_in_force"
            ),
        )

    def __str__(self) -> str:
        return f"operating point {self.number} of {self.site_id}"
