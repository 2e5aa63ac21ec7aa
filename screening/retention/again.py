"""After a restore: what was erased since the backup was made goes again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from screening.audit.services import record
from screening.patients.models import Erasure, LegalHold, Patient
from screening.retention.erased_list import patients_in
from screening.retention.services import complete_open, erase

LIFTED = "Erased after this backup was made."


def reapply_erasures(*, lists: Iterable[Path] = ()) -> int:
    """Erase every patient that is here although it was erased; return how many.

    Known are the erasures in this database, those in the list beside it, and those in ``lists``
    (of the machine that was lost). A hold that the backup brings back was lifted before the
    erasure, and is lifted again.
    """
    complete_open()
    known: set[UUID] = set(Erasure.objects.values_list("patient_id", flat=True))
    for path in (Path(settings.ERASURE_LIST), *lists):
        known |= set(patients_in(path))
    there = Patient.objects.filter(pk__in=known).order_by("pk").values_list("pk", flat=True)
    done = 0
    for patient_id in list(there):
        _lift(patient_id)
        erase(patient_id, kind=Erasure.Kind.AGAIN)
        done += 1
    return done


@transaction.atomic
def _lift(patient_id: UUID) -> None:
    for hold in LegalHold.objects.filter(patient=patient_id, lifted_at__isnull=True):
        hold.lifted_at, hold.lift_reason = timezone.now(), LIFTED
        hold.save(update_fields=("lifted_at", "lift_reason", "updated_at"))
        record("hold.lift", hold, site_id=hold.patient.site_id)
