"""The case record's person."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where, within_reach
from screening.core.models import BaseModel
from screening.core.row_rules import BySite, Through
from screening.patients.fields import KeyField
from screening.patients.normalise import mrn_key, name_key

MRN_LENGTH = 64
NAME_LENGTH = 120


class Sex(models.TextChoices):
    """The values of DICOM (0010,0040) Patient's Sex; empty where it is not known."""

    FEMALE = "F", _("Female")
    MALE = "M", _("Male")
    OTHER = "O", _("Other")


class PatientQuerySet(models.QuerySet["Patient"]):
    def visible_to(self, user: User | AnonymousUser) -> PatientQuerySet:
        """The patients whom ``user`` may view, by site or in an emergency."""
        return self.filter(within_reach(user, Permission.VIEW_PATIENTS, site="site", patient="pk"))

    def addressable_by(self, user: User | AnonymousUser) -> PatientQuerySet:
        """The patients for whom ``user`` may send X-rays: to be found, not to be shown."""
        return self.filter(site__in=sites_where(user, Permission.UPLOAD_STUDIES))


class Patient(BaseModel):
    """One person at one site. The ``*_key`` columns are derived, and are what is searched."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="patients")
    mrn = models.CharField("MRN", max_length=MRN_LENGTH)
    family_name = models.CharField(max_length=NAME_LENGTH)
    given_name = models.CharField(max_length=NAME_LENGTH, blank=True)
    birth_date = models.DateField(null=True, blank=True)
    sex = models.CharField(max_length=1, choices=Sex.choices, blank=True)
    mrn_key = KeyField(of="mrn", by=mrn_key)
    family_key = KeyField(of="family_name", by=name_key)
    given_key = KeyField(of="given_name", by=name_key)

    row_security = BySite(patient="id")

    objects = PatientQuerySet.as_manager()

    class Meta:
        ordering = ("family_key", "given_key", "id")
        constraints = (
            # Also the index of searches by record number.
            models.UniqueConstraint(fields=("site", "mrn_key"), name="patient_mrn_once_per_site"),
        )
        indexes = (
            models.Index(
                fields=("site", "family_key", "given_key", "id"),
                name="patient_by_family_name",
            ),
            models.Index(
                fields=("site", "given_key", "family_key", "id"),
                name="patient_by_given_name",
            ),
        )

    def __str__(self) -> str:
        return f"{self.family_name}, {self.given_name}" if self.given_name else self.family_name


class LegalHold(BaseModel):
    """That a patient's record must not go, why, who said so, and until when it held.

    One at a time for each patient: the row without ``lifted_at``. It blocks erasure and retention;
    the database itself refuses an erasure meanwhile (``patients.triggers``).
    """

    row_security = Through("patient")

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="holds")
    reason = models.TextField()
    placed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    lift_reason = models.TextField(blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("patient",),
                condition=models.Q(lifted_at__isnull=True),
                name="hold_one_at_a_time",
            ),
        )

    def __str__(self) -> str:
        return f"hold {self.pk}"


class Erasure(BaseModel):
    """That a patient was erased: no name, only keys. Rows are never changed or removed.

    Nothing here is a foreign key, for what it names is gone. ``counts`` says how many rows of each
    table went, ``files`` which files in private storage; their names are ours and tell nothing.
    While there is no certificate the closed rows of this one patient may be removed, and no
    others (``patients.triggers``).
    """

    class Kind(models.TextChoices):
        ASKED = "asked", _("Asked for")
        RETENTION = "retention", _("Retention period")
        AGAIN = "again", _("Again, after a backup was restored")

    row_security = BySite()

    site_id = models.UUIDField()
    patient_id = models.UUIDField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    reason = models.TextField(blank=True)
    asked_by_id = models.UUIDField(null=True)
    asked_by_name = models.CharField(max_length=150, blank=True)
    counts = models.JSONField(default=dict)
    files = models.JSONField(default=list)

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (
            models.Index(fields=("patient_id",), name="erasure_by_patient"),
            models.Index(fields=("site_id", "-created_at"), name="erasure_by_site"),
        )

    def __str__(self) -> str:
        return f"erasure {self.pk}"


class ErasureCertificate(BaseModel):
    """That an erasure is complete: rows and files. ``files`` counts those that were there."""

    row_security = Through("erasure")

    erasure = models.OneToOneField(Erasure, on_delete=models.PROTECT, related_name="certificate")
    files = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"certificate of {self.erasure_id}"
