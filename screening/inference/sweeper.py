"""Finds what got lost: jobs of dead workers, and jobs whose message never arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from screening.inference import broker, services, workers
from screening.inference.models import Job
from screening.studies.models import Status

BATCH = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """How many lost jobs were recovered, and how many messages were sent again."""

    recovered: int
    resent: int


def sweep_jobs() -> Swept:
    """Recover what is lost. Harmless to run twice at once: every move is a compare-and-set."""
    return Swept(recovered=_recover_lost(), resent=_resend_unheard())


def _recover_lost() -> int:
    """Jobs whose lease ended, and those of processes of this machine that are gone."""
    now = timezone.now()
    suspects = (
        Job.objects.filter(status=Status.RUNNING)
        .filter(Q(lease_expires_at__lte=now) | Q(worker__startswith=workers.here()))
        .order_by("lease_expires_at")[:BATCH]
    )
    return sum(services.recover_job(job) for job in suspects if services.is_lost(job, now))


def _resend_unheard() -> int:
    """Send the messages that are missing in the broker, oldest first, and no more than those.

    A queue may be long without anything being lost. So what is sent again is bounded by the
    difference between the due jobs and the messages that wait for them: under load the sweeper
    adds nothing, and after the broker lost everything it sends everything.
    """
    waiting = broker.messages_waiting()
    if waiting is None:
        return 0
    now = timezone.now()
    patience = now - timedelta(seconds=settings.INFERENCE_RESEND_AFTER_S)
    due = Job.objects.filter(status=Status.QUEUED, available_at__lte=now)
    never_sent = Q(sent_at__isnull=True)
    unheard = due.filter(never_sent | Q(sent_at__lte=patience, available_at__lte=patience))
    missing = min(BATCH, max(due.count() - waiting, due.filter(never_sent).count()))
    resent = 0
    for job in unheard.order_by(F("sent_at").asc(nulls_first=True))[: max(0, missing)]:
        seen = Q(sent_at=job.sent_at) if job.sent_at is not None else never_sent
        if not Job.objects.filter(seen, pk=job.pk, status=Status.QUEUED).update(sent_at=now):
            continue  # Another sweeper was here, or a worker took it.
        if not broker.send_job(job.pk):
            Job.objects.filter(pk=job.pk, status=Status.QUEUED).update(sent_at=None)
            break
        resent += 1
    return resent
