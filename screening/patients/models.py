"""The case record's person."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db import models

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where
from screening.core.models import BaseModel
from screening.patients.fields import KeyField
from screening.patients.normalise import mrn_key, name_key

MRN_LENGTH = 64
NAME_LENGTH = 120


class Sex(models.TextChoices):
    """The values of DICOM (0010,0040) Patient's Sex; empty where it is not known."""

    FEMALE = "F", "Female"
    MALE = "M", "Male"
    OTHER = "O", "Other"


class PatientQuerySet(models.QuerySet["Patient"]):
    def visible_to(self, user: User | AnonymousUser) -> PatientQuerySet:
        """The patients of every site at which ``user`` may view patients."""
        return self.filter(site__in=sites_where(user, Permission.VIEW_PATIENTS))


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
