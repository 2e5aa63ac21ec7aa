"""What belongs to a patient: every table with a way to one, children first, and every file.

A test walks all models and fails for one that leads to a patient and is missing here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.apps import apps
from django.db.models import QuerySet

from screening.inference.models import Result
from screening.report.models import Report
from screening.studies import pixels
from screening.studies.models import Image


@dataclass(frozen=True)
class Part:
    """One table, and the look-up by which its rows belong to a patient."""

    label: str
    lookup: str

    def rows(self, patient_id: UUID) -> QuerySet[Any]:
        model = apps.get_model(self.label)
        rows: QuerySet[Any] = model._default_manager.filter(**{self.lookup: patient_id})
        return rows


PLAN: Final = (
    Part("sharing.ExportedStudy", "study__patient"),
    Part("insight.ImageStatistics", "image__study__patient"),
    Part("emergency.EmergencyReview", "access__patient"),
    Part("emergency.EmergencyAccess", "patient"),
    Part("worklist.Notification", "study__patient"),
    Part("worklist.Entry", "study__patient"),
    Part("report.Withdrawal", "report__study__patient"),
    Part("report.Report", "study__patient"),
    Part("reading.Measurements", "image__study__patient"),
    Part("reading.Discrepancy", "reading__study__patient"),
    Part("reading.Addendum", "reading__study__patient"),
    Part("reading.FirstImpression", "reading__study__patient"),
    Part("reading.Reading", "study__patient"),
    Part("studies.ConfirmedDiagnosis", "study__patient"),
    Part("inference.ShadowAnswer", "image__study__patient"),
    Part("inference.Result", "image__study__patient"),
    Part("inference.Job", "image__study__patient"),
    Part("studies.Image", "study__patient"),
    Part("studies.Study", "patient"),
    Part("patients.LegalHold", "patient"),
    Part("patients.Patient", "pk"),
)


def files_of(patient_id: UUID) -> Iterator[str]:
    """The names in private storage of everything kept of a patient, but for exports."""
    images = Image.objects.filter(study__patient=patient_id)
    for key, *names in images.values_list("pk", "original", "display", "thumbnail"):
        yield from names
        yield pixels.cached_name(key)
    yield from _names(Result.objects.filter(image__study__patient=patient_id), "heatmap")
    yield from _names(Report.objects.filter(study__patient=patient_id), "file")


def count_rows(patient_id: UUID) -> dict[str, int]:
    """How many rows of each table there are, tables without any left out."""
    counted = {part.label: part.rows(patient_id).count() for part in PLAN}
    return {label: count for label, count in counted.items() if count}


def _names(rows: QuerySet[Any], field: str) -> Collection[str]:
    return [name for name in rows.values_list(field, flat=True) if name]
