"""Keeping the entries equal to the studies, in the transaction that changes a study."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from screening.audit.services import record
from screening.reading.models import Reading
from screening.studies.models import OPEN_STATUSES, Status, Study
from screening.worklist import notices
from screening.worklist.flags import flagged_among
from screening.worklist.models import Entry, Kind

BATCH = 1000


def follow_study(study: Study, before: str, **_: Any) -> None:
    """Receiver of ``studies.signals.study_summed_up``: the entry, and word to the sender."""
    flagged = study.status != Status.QUEUED and bool(flagged_among([study.pk]))
    entry = Entry.objects.filter(pk=study.pk).first()
    if entry is None:
        _new_entry(study, flagged=flagged).save(force_insert=True)
    elif (entry.status, entry.flagged) != (study.status, flagged):
        changes: dict[str, Any] = {"status": study.status}
        if flagged != entry.flagged:
            changes |= {"flagged": flagged, "flagged_at": timezone.now() if flagged else None}
        # Only what changed: a claim may move in the same moment, and is none of this.
        Entry.objects.filter(pk=study.pk).update(**changes)
    if before in OPEN_STATUSES and study.status not in OPEN_STATUSES:
        notices.tell(user_id=study.uploaded_by_id, study=study, kind=Kind(study.status))


def close_read_study(reading: Reading, **_: Any) -> None:
    """Receiver of ``reading.signals.reading_signed``: what was read is off the list."""
    Entry.objects.unread().filter(pk=reading.study_id).update(
        closed_at=reading.signed_at, claimed_by=None, claimed_at=None, claimed_until=None
    )


def rebuild() -> int:
    """Make every study's entry anew from studies and readings, and return how many there are.

    Claims and assignments stay. Safe while the portal is in use: each batch locks its studies
    first, as every change does.
    """
    total = 0
    for keys in _batches():
        with transaction.atomic():
            studies = list(Study.objects.select_for_update().filter(pk__in=keys))
            flagged = flagged_among(study.pk for study in studies)
            entries = [_new_entry(study, flagged=study.pk in flagged) for study in studies]
            Entry.objects.bulk_create(
                entries,
                update_conflicts=True,
                unique_fields=["study"],
                update_fields=["site", "patient", "status", "arrived_at", "flagged", "flagged_at"],
            )
            signed = Reading.objects.signed().filter(study=OuterRef("study")).order_by("signed_at")
            Entry.objects.filter(pk__in=keys).update(
                closed_at=Subquery(signed.values("signed_at")[:1])
            )
        total += len(studies)
    record("worklist.rebuild", detail={"entries": total})
    return total


def _new_entry(study: Study, *, flagged: bool) -> Entry:
    return Entry(
        study=study,
        site_id=study.site_id,
        patient_id=study.patient_id,
        status=study.status,
        arrived_at=study.created_at,
        flagged=flagged,
        flagged_at=timezone.now() if flagged else None,
    )


def _batches() -> Iterator[list[UUID]]:
    """The keys of all studies in their order, a batch at a time."""
    rows = Study.objects.order_by("pk").values_list("pk", flat=True)
    keys = list(rows[:BATCH])
    while keys:
        yield keys
        keys = list(rows.filter(pk__gt=keys[-1])[:BATCH])
