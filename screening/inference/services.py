"""The life of a job: queued, claimed, looked at, finished, tried again.

Every move is a compare-and-set on the row (status, attempt, generation), committed before what
follows from it. A message that comes twice, a worker that comes back from the dead and a sweeper
that was too quick all find that the row has moved, and leave it alone.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.models import Outcome
from screening.audit.services import record
from screening.core.errors import Conflict
from screening.inference import (
    activations,
    broker,
    engine,
    model_health,
    points,
    shadow,
    workers,
)
from screening.inference.failures import (
    HONEST_SHARE,
    Failure,
    PermanentFailure,
    TransientFailure,
    message_of,
)
from screening.inference.models import Job, ModelVersion, Result
from screening.inference.packages import Exact
from screening.studies import storage
from screening.studies.models import Image, Status
from screening.studies.services import set_image_status

logger = logging.getLogger(__name__)

LONGEST_BACK_OFF_S = 60.0
ARRIVAL_MARGIN_S = 0.1
"""A message must not arrive before its job is available: it would find nothing to claim."""

_jitter = random.SystemRandom()


# --- Queueing ----------------------------------------------------------------------------------


def queue_received_image(image: Image, **_: Any) -> None:
    """Receiver of ``studies.signals.image_received``: no image without its job."""
    queue_job(image)


def queue_job(image: Image) -> Job:
    """Make the job of a new image, in the caller's transaction, and send word after it."""
    now = timezone.now()
    job = Job.objects.create(image=image, available_at=now, sent_at=now)
    send_after_commit(job.pk)
    return job


def send_after_commit(job_id: UUID, *, countdown_s: float = 0) -> None:
    """Send the job's message after the transaction.

    ``sent_at`` was written with the row, in good faith; a broker that does not take the message
    has it cleared, so that the next sweep sends it without waiting.
    """

    def send() -> None:
        if not broker.send_job(job_id, countdown_s=countdown_s):
            Job.objects.filter(pk=job_id, status=Status.QUEUED).update(sent_at=None)

    transaction.on_commit(send, robust=True)


def retry_job(*, actor: User, image: Image) -> Job:
    """Queue a failed image once more, with its attempts at zero.

    ``image`` was found by ``visible_to(actor)``. A refused image is not queued again: the same
    file would be refused for the same reason.

    :raises Forbidden: the actor may not retry at this site.
    :raises Conflict: the job has not failed.
    """
    policies.require(actor, Permission.RETRY_JOBS, image.study.site_id)
    now = timezone.now()
    with transaction.atomic():
        moved = Job.objects.filter(image=image, status=Status.FAILED).update(
            status=Status.QUEUED,
            attempts=0,
            manual_retries=F("manual_retries") + 1,
            available_at=now,
            sent_at=now,
            finished_at=None,
            lease_expires_at=None,
            code="",
            message="",
            updated_at=now,
        )
        if not moved:
            raise Conflict(_("Only an image that failed can be tried again."), code="not_failed")
        job = Job.objects.select_related("image__study").get(image=image)
        set_image_status(image.pk, Status.QUEUED)
        record("job.retry", job, actor=actor, detail={"image": str(image.pk)})
        send_after_commit(job.pk)
    return job


# --- Working -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt at one job. Only the holder of the row's present attempt may end it.

    ``wanted`` is the package that answers at the site while the attempt begins, None the default.
    """

    job_id: UUID
    image_id: UUID
    site_id: UUID
    original: str
    sha256: str
    attempt: int
    generation: int
    wanted: Exact | None = None


def run_job(job_id: UUID) -> None:
    """Classify the job's image unless there is nothing to claim. Called by the worker."""
    claim = claim_job(job_id)
    if claim is None:
        return
    started = time.monotonic()
    try:
        verdict = engine.look(
            claim.original,
            claim.sha256,
            claim.wanted,
            choose_point=lambda model: points.site_point(claim.site_id, model),
        )
        if time.monotonic() - started > HONEST_SHARE * settings.INFERENCE_SOFT_LIMIT_S:
            raise TransientFailure("timed_out")
        if finish_job(claim, verdict):
            shadow.follow(claim.image_id, claim.site_id)
    except PermanentFailure as failure:
        fail_job(claim, failure)
        if failure.code in model_health.MODEL_CODES:
            model_health.note_load_failure(claim.wanted, failure.code)
    except TransientFailure as failure:
        try_later(claim, failure)
    except SoftTimeLimitExceeded:
        try_later(claim, TransientFailure("timed_out"))
    except MemoryError:
        try_later(claim, TransientFailure("out_of_memory"))
    except Exception as error:
        # The message of an unknown error may quote a file, and so a patient: only its kind.
        logger.error("job %s: %s in attempt %s", job_id, type(error).__name__, claim.attempt)
        try_later(claim, TransientFailure("unexpected"))


def claim_job(job_id: UUID) -> Claim | None:
    """Take the job for this process, or ``None`` when it is not to be had.

    To be had are queued jobs that are due, and running ones whose worker is gone. The attempt
    is counted and committed before the work, so that a job that kills its worker is counted.
    """
    job = Job.objects.select_related("image__study").filter(pk=job_id).first()
    now = timezone.now()
    if job is None or not _may_be_claimed(job, now):
        return None
    if job.attempts >= settings.INFERENCE_MAX_ATTEMPTS:
        give_up(job)
        return None
    with transaction.atomic():
        moved = _rows_as_seen(job).update(
            status=Status.RUNNING,
            attempts=job.attempts + 1,
            started_at=now,
            lease_expires_at=now + timedelta(seconds=settings.INFERENCE_LEASE_S),
            worker=workers.identity(),
            updated_at=now,
        )
        if not moved:
            return None
        set_image_status(job.image_id, Status.RUNNING)
    return Claim(
        job_id=job.pk,
        image_id=job.image_id,
        site_id=job.image.study.site_id,
        original=job.image.original,
        sha256=job.image.sha256,
        attempt=job.attempts + 1,
        generation=job.manual_retries,
        wanted=activations.wanted_at(job.image.study.site_id),
    )


def is_lost(job: Job, now: datetime) -> bool:
    """Whether a running job's worker has outlived its lease or does not live any more."""
    return job.status == Status.RUNNING and (
        job.lease_expires_at is None or job.lease_expires_at <= now or workers.is_gone(job.worker)
    )


def _may_be_claimed(job: Job, now: datetime) -> bool:
    if job.status == Status.QUEUED:
        return job.available_at <= now
    return is_lost(job, now)


def _rows_as_seen(job: Job) -> Any:
    """The row, if nobody has moved it since it was read."""
    return Job.objects.filter(
        pk=job.pk,
        status=job.status,
        attempts=job.attempts,
        manual_retries=job.manual_retries,
    )


def _move(claim: Claim, **changes: Any) -> bool:
    """Move the row out of the claimed attempt; ``False`` when that is over already."""
    return bool(
        Job.objects.filter(
            pk=claim.job_id,
            status=Status.RUNNING,
            attempts=claim.attempt,
            manual_retries=claim.generation,
        ).update(lease_expires_at=None, updated_at=timezone.now(), **changes)
    )


# --- Ending ------------------------------------------------------------------------------------


def finish_job(claim: Claim, verdict: engine.Finding | engine.Refusal) -> bool:
    """Attach what the engine saw. ``False`` when the attempt had been given to somebody else."""
    if isinstance(verdict, engine.Refusal):
        return _end(claim, Status.REFUSED, verdict.code, verdict.message)
    result_id = uuid4()
    with storage.FilesOfRows() as files:
        name = storage.new_name(storage.HEATMAPS, result_id, ".png")
        heatmap = files.put(name, verdict.heatmap)
        with transaction.atomic():
            now = timezone.now()
            if not _move(claim, status=Status.DONE, finished_at=now, code="", message=""):
                return False
            result, created = _attach(claim, result_id, heatmap, verdict)
            set_image_status(claim.image_id, Status.DONE)
            if created:
                record(
                    "result.create",
                    result,
                    site_id=claim.site_id,
                    detail={"image": str(claim.image_id)},
                )
                files.keep()
    return True


def _attach(
    claim: Claim, result_id: UUID, heatmap: str, finding: engine.Finding
) -> tuple[Result, bool]:
    """The result of this image by this model: made once, never changed."""
    version, _ = ModelVersion.objects.defer("manifest").get_or_create(
        name=finding.model.name,
        version=finding.model.version,
        weights_sha256=finding.model.weights_sha256,
        defaults={
            "preprocessing_version": finding.model.preprocessing_version,
            "manifest": finding.model.manifest,
        },
    )
    return Result.objects.get_or_create(
        image_id=claim.image_id,
        model_version=version,
        defaults={
            "id": result_id,
            "label": finding.label,
            "p_covid": finding.probabilities["covid"],
            "p_pneumonia": finding.probabilities["pneumonia"],
            "p_normal": finding.probabilities["normal"],
            "heatmap": heatmap,
            "milliseconds": finding.milliseconds,
            "runtime": finding.runtime,
            "evidence": finding.evidence,
            "receipt": finding.receipt,
        },
    )


def fail_job(claim: Claim, failure: Failure) -> bool:
    """End the job for good, until somebody retries by hand."""
    return _end(claim, Status.FAILED, failure.code, message_of(failure.code))


def _end(claim: Claim, status: Status, code: str, message: str) -> bool:
    with transaction.atomic():
        if not _move(
            claim, status=status, finished_at=timezone.now(), code=code[:60], message=message[:300]
        ):
            return False
        set_image_status(claim.image_id, status)
        _record_end(claim.job_id, status, code)
    return True


def try_later(claim: Claim, failure: Failure) -> bool:
    """Queue the job again with back-off, or fail it when its attempts are used up."""
    if claim.attempt >= settings.INFERENCE_MAX_ATTEMPTS:
        return fail_job(claim, failure)
    wait_s = back_off_s(claim.attempt)
    now = timezone.now()
    with transaction.atomic():
        if not _move(
            claim,
            status=Status.QUEUED,
            available_at=now + timedelta(seconds=wait_s),
            sent_at=now,
            code=failure.code[:60],
        ):
            return False
        set_image_status(claim.image_id, Status.QUEUED)
        send_after_commit(claim.job_id, countdown_s=wait_s + ARRIVAL_MARGIN_S)
    return True


def back_off_s(attempt: int) -> float:
    """Seconds to wait after the given attempt: doubling, spread by half either way, capped."""
    wait_s = float(settings.INFERENCE_RETRY_BASE_S) * 2.0 ** (attempt - 1)
    return min(LONGEST_BACK_OFF_S, wait_s * _jitter.uniform(0.5, 1.5))


def recover_job(job: Job) -> bool:
    """Queue a lost job again at once, or give it up. ``job`` is as it was read."""
    if job.attempts >= settings.INFERENCE_MAX_ATTEMPTS:
        return give_up(job)
    now = timezone.now()
    with transaction.atomic():
        moved = _rows_as_seen(job).update(
            status=Status.QUEUED,
            available_at=now,
            sent_at=now,
            lease_expires_at=None,
            code="worker_lost",
            updated_at=now,
        )
        if not moved:
            return False
        set_image_status(job.image_id, Status.QUEUED)
        send_after_commit(job.pk)
    return True


def give_up(job: Job) -> bool:
    """Fail a job whose attempts are used up and which did not live to say why."""
    code = "worker_lost"
    now = timezone.now()
    with transaction.atomic():
        moved = _rows_as_seen(job).update(
            status=Status.FAILED,
            finished_at=now,
            lease_expires_at=None,
            code=code,
            message=message_of(code),
            updated_at=now,
        )
        if not moved:
            return False
        set_image_status(job.image_id, Status.FAILED)
        _record_end(job.pk, Status.FAILED, code)
    return True


def _record_end(job_id: UUID, status: Status, code: str) -> None:
    job = Job.objects.select_related("image__study").get(pk=job_id)
    failed = status == Status.FAILED
    record(
        "job.fail" if failed else "job.refuse",
        job,
        outcome=Outcome.FAILED if failed else Outcome.OK,
        detail={"image": str(job.image_id), "code": code},
    )
