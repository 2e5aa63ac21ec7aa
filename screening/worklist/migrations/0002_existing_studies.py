"""The studies that were there before the worklist: unread unless a reading of them is signed."""

from __future__ import annotations

from typing import Any

from django.db import migrations

BATCH = 1000


def add_existing(apps: Any, schema_editor: Any) -> None:
    Study = apps.get_model("studies", "Study")
    Result = apps.get_model("inference", "Result")
    Reading = apps.get_model("reading", "Reading")
    Entry = apps.get_model("worklist", "Entry")
    rows = Study.objects.order_by("pk")
    studies = list(rows[:BATCH])
    while studies:
        keys = [study.pk for study in studies]
        newest = {}
        results = Result.objects.filter(image__study__in=keys).order_by("created_at")
        for image_id, study_id, evidence in results.values_list(
            "image_id", "image__study_id", "evidence"
        ):
            newest[image_id] = (study_id, evidence.get("operating_point", {}).get("called"))
        flagged = {study_id for study_id, called in newest.values() if called is True}
        signed = dict(
            Reading.objects.filter(study__in=keys, signed_at__isnull=False)
            .order_by("-signed_at")
            .values_list("study_id", "signed_at")
        )
        Entry.objects.bulk_create(
            [
                Entry(
                    study_id=study.pk,
                    site_id=study.site_id,
                    patient_id=study.patient_id,
                    status=study.status,
                    arrived_at=study.created_at,
                    flagged=study.pk in flagged,
                    flagged_at=study.updated_at if study.pk in flagged else None,
                    closed_at=signed.get(study.pk),
                )
                for study in studies
            ]
        )
        studies = list(rows.filter(pk__gt=keys[-1])[:BATCH])


class Migration(migrations.Migration):
    dependencies = [
        ("worklist", "0001_worklist"),
        ("inference", "0002_result_evidence"),
        ("reading", "0001_readings"),
    ]

    operations = [migrations.RunPython(add_existing, migrations.RunPython.noop)]
