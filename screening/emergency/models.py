"""Records of other sites that somebody opened in an emergency, and what admins say to it."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where
from screening.core.models import BaseModel
from screening.core.row_rules import BySite, NotLimited
from screening.patients.models import Patient


class MayOpen(models.TextChoices):
    """Who of other sites may open a site's records in an emergency."""

    ALL = "all", _("Clinicians and administrators of other sites")
    ADMINS = "admins", _("Administrators of other sites only")
    NOBODY = "nobody", _("Nobody")


class EmergencyRule(BaseModel):
    """What one site allows. A site without a row goes by the default."""

    row_security = NotLimited("No patient data; whoever works elsewhere is the one who meets it.")

    site = models.OneToOneField(Site, on_delete=models.CASCADE, related_name="emergency_rule")
    may_open = models.CharField(max_length=8, choices=MayOpen.choices, default=MayOpen.ALL)

    def __str__(self) -> str:
        return f"emergency rule of {self.site_id}"


class EmergencyAccessQuerySet(models.QuerySet["EmergencyAccess"]):
    def visible_to(self, user: User | AnonymousUser) -> EmergencyAccessQuerySet:
        """A person's own, and those to or from the sites whose emergencies the person reviews."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(Q(user=user) | self._reviewed_at(user))

    def to_review_by(self, user: User | AnonymousUser) -> EmergencyAccessQuerySet:
        """Those to or from the sites whose emergencies the person reviews."""
        return self.filter(self._reviewed_at(user))

    def _reviewed_at(self, user: User | AnonymousUser) -> Q:
        sites = sites_where(user, Permission.REVIEW_EMERGENCIES)
        return Q(site__in=sites) | Q(home_site__in=sites)

    def open(self) -> EmergencyAccessQuerySet:
        """Those that hold now."""
        return self.filter(ended_at__isnull=True, expires_at__gt=timezone.now())


class EmergencyAccess(BaseModel):
    """One person's look into one record of a site where the person does not work.

    It holds from ``created_at`` until ``expires_at``, or until it was ended before, and gives the
    right to read that record and nothing else. ``reason`` is what the person typed and may name
    the patient: it is shown to the admins of both sites and stands in no log and no audit.
    """

    row_security = BySite(person="user_id", other_sites=("home_site_id",))

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="emergency_accesses")
    home_site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="+")
    reason = models.TextField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )

    objects = EmergencyAccessQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name_plural = "emergency accesses"
        indexes = (
            # Asked with every request of everybody: nearly always an empty index.
            models.Index(
                fields=("user", "expires_at"),
                condition=Q(ended_at__isnull=True),
                name="emergency_open_by_user",
            ),
            models.Index(fields=("site", "-created_at"), name="emergency_by_site"),
            models.Index(fields=("home_site", "-created_at"), name="emergency_by_home_site"),
        )

    def __str__(self) -> str:
        return f"emergency access {self.pk}"

    @property
    def is_open(self) -> bool:
        return self.ended_at is None and self.expires_at > timezone.now()


class EmergencyReview(BaseModel):
    """What an admin of one of the two sites says to an access. Never changed."""

    row_security = BySite()

    access = models.ForeignKey(EmergencyAccess, on_delete=models.CASCADE, related_name="reviews")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    reviewed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    remark = models.TextField(blank=True)

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(fields=("access", "site"), name="emergency_review_once_a_site"),
        )

    def __str__(self) -> str:
        return f"review of emergency access {self.access_id}"


class EmergencyAttempt(BaseModel):
    """One exact search for a record of another site, found or not: what the limit counts."""

    row_security = BySite(person="user_id")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="+")
    found = models.BooleanField()

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=("user", "-created_at"), name="emergency_attempts"),)

    def __str__(self) -> str:
        return f"emergency attempt {self.pk}"
