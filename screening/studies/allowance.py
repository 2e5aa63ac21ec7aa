"""How much one person or device may send in an hour, accepted or not.

Opening files costs processor time and keeping them disk space, so whoever sends without end takes
both from everybody else. Counted in the database: every process sees it, and a restart forgets
nothing.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django.utils.translation import ngettext

from screening.accounts.models import User
from screening.audit.models import Outcome
from screening.audit.services import record
from screening.patients.models import Patient
from screening.studies.gate import UploadRefused
from screening.studies.models import UploadCount

MEGABYTE = 1024 * 1024
KEPT_FOR = timedelta(days=1)


def count_upload(actor: User, patient: Patient, size_bytes: int) -> None:
    """Count one file before it is judged. The first one too many leaves a line in the audit.

    :raises UploadRefused: ``too_many_uploads``; the next hour opens again.
    """
    now = timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    files, size = _add(actor, hour, size_bytes)
    most_files, most_bytes = settings.UPLOADS_PER_HOUR, settings.UPLOAD_MB_PER_HOUR * MEGABYTE
    too_many, too_much = (
        bool(most_files) and files > most_files,
        bool(most_bytes) and (size > most_bytes),
    )
    if not (too_many or too_much):
        return
    was_open = (not too_many or files == most_files + 1) and (
        not too_much or size - size_bytes <= most_bytes
    )
    if was_open:
        record(
            "image.receive",
            patient,
            actor=actor,
            outcome=Outcome.DENIED,
            detail={"code": "too_many_uploads"},
        )
    minutes = math.ceil((hour + timedelta(hours=1) - now).total_seconds() / 60)
    sentence = ngettext(
        "You have sent as much as the portal takes from one person in an hour: "
        "go on in %(minutes)d minute.",
        "You have sent as much as the portal takes from one person in an hour: "
        "go on in %(minutes)d minutes.",
        minutes,
    )
    raise UploadRefused(sentence % {"minutes": minutes}, code="too_many_uploads")


def forget_old() -> None:
    """Remove counts that nothing depends on any more."""
    UploadCount.objects.filter(hour__lt=timezone.now() - KEPT_FOR).delete()


def _add(actor: User, hour: datetime, size_bytes: int) -> tuple[int, int]:
    """Files and bytes of the actor in this hour, this file included."""
    counts = UploadCount.objects.filter(user=actor, hour=hour)
    more = {"files": F("files") + 1, "size_bytes": F("size_bytes") + size_bytes}
    if not counts.update(**more):
        UploadCount.objects.bulk_create([UploadCount(user=actor, hour=hour)], ignore_conflicts=True)
        counts.update(**more)
    return counts.values_list("files", "size_bytes").get()
