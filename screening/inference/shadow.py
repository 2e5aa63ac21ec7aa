"""A candidate that answers beside the active version, so that a site can compare before it decides.

What the candidate says is kept apart from results: no study shows it, no status counts it. It is
asked after the real answer has been given, at the lowest priority, and whatever goes wrong with it
stays with it: nothing in this module raises into the work on a real image.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission
from screening.audit.models import Outcome
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.inference import activations, broker, engine
from screening.inference.failures import (
    HONEST_SHARE,
    Failure,
    PermanentFailure,
    TransientFailure,
)
from screening.inference.models import ModelVersion, ShadowAnswer, ShadowRun
from screening.inference.packages import Exact, Package
from screening.studies.models import Image, Status

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 2
"""A candidate that fails with an image twice has failed; nobody waits for it."""
MOST_LOOKED_BACK = 1000
BATCH = 200


# --- Switching on and off ----------------------------------------------------------------------


def start_shadow(*, actor: User, site: Site, package: Package) -> ShadowRun:
    """Let ``package`` answer every new image of ``site`` too, unseen.

    :raises Forbidden: the actor may not decide on models at this site.
    :raises Conflict: ``model_broken``, ``already_answers``, ``shadow_is_on``.
    """
    policies.require(actor, Permission.MANAGE_MODELS, site.pk)
    activations.require_usable(package)
    with transaction.atomic():
        Site.objects.select_for_update().get(pk=site.pk)
        if activations.answering_at(site.pk).package.fingerprint == package.fingerprint:
            raise Conflict(
                _("%(model)s answers at your site already.") % {"model": package},
                code="already_answers",
            )
        if ShadowRun.objects.filter(site=site, ended_at=None).exists():
            raise Conflict(_("Another version runs in shadow. Stop it first."), code="shadow_is_on")
        run = ShadowRun.objects.create(
            site=site,
            model_version=activations.version_of(package),
            fingerprint=package.fingerprint,
            started_by=actor,
        )
        record("shadow.start", run, actor=actor, detail={"model": str(package)})
    return run


def stop_shadow(*, actor: User, site: Site) -> ShadowRun:
    """End the run; what was not yet answered is dropped, what was stays for comparing.

    :raises Forbidden: the actor may not decide on models at this site.
    :raises Conflict: ``shadow_is_off``.
    """
    policies.require(actor, Permission.MANAGE_MODELS, site.pk)
    with transaction.atomic():
        run = _open_run(site)
        run.ended_by, run.ended_at = actor, timezone.now()
        run.save(update_fields=["ended_by", "ended_at", "updated_at"])
        waiting = ShadowAnswer.objects.filter(
            image__study__site=site, fingerprint=run.fingerprint, status=Status.QUEUED
        )
        dropped = ShadowAnswer.objects.filter(pk__in=list(waiting.values_list("pk", flat=True)))
        count, _rows = dropped.delete()
        record("shadow.stop", run, actor=actor, detail={"dropped": count})
    return run


def look_back(*, actor: User, site: Site, count: int) -> int:
    """Let the candidate answer the ``count`` newest images that have been answered, too.

    Returns how many are asked for anew; those that it has answered before are not.

    :raises Forbidden: the actor may not decide on models at this site.
    :raises InvalidInput: not between 1 and ``MOST_LOOKED_BACK``.
    :raises Conflict: ``shadow_is_off``.
    """
    policies.require(actor, Permission.MANAGE_MODELS, site.pk)
    if not 1 <= count <= MOST_LOOKED_BACK:
        raise InvalidInput(
            _("Choose a number from 1 to %(most)s.") % {"most": MOST_LOOKED_BACK}, field="count"
        )
    with transaction.atomic():
        run = _open_run(site)
        newest = (
            Image.objects.filter(study__site=site, status__in=(Status.DONE, Status.REFUSED))
            .order_by("-created_at")
            .values_list("pk", flat=True)[:count]
        )
        asked = _ask(list(newest), run.model_version_id, run.fingerprint)
        record("shadow.look_back", run, actor=actor, detail={"asked": len(asked)})
        transaction.on_commit(lambda: _send(asked), robust=True)
    return len(asked)


def _open_run(site: Site) -> ShadowRun:
    run = (
        ShadowRun.objects.select_for_update(of=("self",))
        .select_related("model_version")
        .filter(site=site, ended_at=None)
        .first()
    )
    if run is None:
        raise Conflict(_("No version runs in shadow."), code="shadow_is_off")
    return run


# --- Asking ------------------------------------------------------------------------------------


def follow(image_id: UUID, site_id: UUID) -> None:
    """An image has its real answer: ask the site's candidate too, where there is one.

    Called after the answer is committed. Nothing that goes wrong here concerns the caller.
    """
    try:
        run = ShadowRun.objects.filter(site=site_id, ended_at=None).first()
        if run is not None:
            _send(_ask([image_id], run.model_version_id, run.fingerprint))
    except DatabaseError as error:
        logger.warning("no shadow of image %s (%s)", image_id, type(error).__name__)


def _ask(image_ids: list[UUID], version_id: UUID, fingerprint: str) -> list[UUID]:
    """Rows for those of the images that the candidate was not asked about; their keys."""
    known = set(
        ShadowAnswer.objects.filter(image__in=image_ids, fingerprint=fingerprint).values_list(
            "image", flat=True
        )
    )
    now = timezone.now()
    rows = [
        ShadowAnswer(
            image_id=image_id, model_version_id=version_id, fingerprint=fingerprint, due_at=now
        )
        for image_id in image_ids
        if image_id not in known
    ]
    ShadowAnswer.objects.bulk_create(rows, ignore_conflicts=True)
    return [row.pk for row in rows]


def _send(answer_ids: Iterable[UUID]) -> None:
    for answer_id in answer_ids:
        if not broker.send_shadow_answer(answer_id):
            return  # The sweeper sends what is overdue.


def send_overdue() -> int:
    """Send the messages again that got lost, no more than the queue lacks; return how many."""
    waiting = broker.messages_waiting(broker.SHADOW_QUEUE)
    if waiting is None:
        return 0
    patience = timezone.now() - timedelta(seconds=settings.INFERENCE_RESEND_AFTER_S)
    due = ShadowAnswer.objects.filter(status=Status.QUEUED, due_at__lte=patience)
    overdue = list(due.order_by("due_at").values_list("pk", flat=True)[:BATCH])
    missing = overdue[: max(0, len(overdue) - waiting)]
    _send(missing)
    return len(missing)


# --- Answering ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Claim:
    answer_id: UUID
    attempt: int
    image: Image
    wanted: Exact


def answer(answer_id: UUID) -> None:
    """Let the candidate look at the image unless there is nothing to do. Called by the worker."""
    claim = _claim(answer_id)
    if claim is None:
        return
    started = time.monotonic()
    try:
        verdict = engine.look(
            claim.image.original, claim.image.sha256, claim.wanted, with_heatmap=False
        )
        if time.monotonic() - started > HONEST_SHARE * settings.INFERENCE_SOFT_LIMIT_S:
            raise TransientFailure("timed_out")
    except PermanentFailure as failure:
        _end(claim, Status.FAILED, code=failure.code)
    except Failure as failure:
        _try_later(claim, failure.code)
    except SoftTimeLimitExceeded:
        _try_later(claim, "timed_out")
    except MemoryError:
        _try_later(claim, "out_of_memory")
    except Exception as error:
        # The message of an unknown error may quote a file, and so a patient: only its kind.
        logger.error("shadow answer %s: %s", answer_id, type(error).__name__)
        _try_later(claim, "unexpected")
    else:
        if isinstance(verdict, engine.Refusal):
            _end(claim, Status.REFUSED, code=verdict.code)
        else:
            _end(claim, Status.DONE, **_values(verdict))


def _claim(answer_id: UUID) -> _Claim | None:
    """Take the row for one attempt, which is counted before the work."""
    row = (
        ShadowAnswer.objects.select_related("image", "model_version")
        .defer("model_version__manifest", "evidence", "receipt")
        .filter(pk=answer_id, status=Status.QUEUED)
        .first()
    )
    now = timezone.now()
    if row is None or row.due_at > now:
        return None
    seen = ShadowAnswer.objects.filter(
        pk=row.pk, status=Status.QUEUED, attempts=row.attempts, due_at=row.due_at
    )
    if row.attempts >= MOST_ATTEMPTS:
        # Whoever had it last did not live to say why.
        seen.update(status=Status.FAILED, code="worker_lost", updated_at=now)
        return None
    lease = timedelta(seconds=settings.INFERENCE_LEASE_S)
    if not seen.update(attempts=row.attempts + 1, due_at=now + lease, updated_at=now):
        return None
    wanted = Exact(row.model_version.name, row.model_version.version, row.fingerprint)
    return _Claim(row.pk, row.attempts + 1, row.image, wanted)


def _end(claim: _Claim, status: Status, **values: Any) -> None:
    with transaction.atomic():
        moved = ShadowAnswer.objects.filter(
            pk=claim.answer_id, status=Status.QUEUED, attempts=claim.attempt
        ).update(status=status, updated_at=timezone.now(), **values)
        if moved:
            row = ShadowAnswer.objects.select_related("image__study").get(pk=claim.answer_id)
            record(
                "shadow.answer",
                row,
                outcome=Outcome.FAILED if status == Status.FAILED else Outcome.OK,
                detail={"image": str(claim.image.pk), "status": status, "code": row.code},
            )


def _try_later(claim: _Claim, code: str) -> None:
    if claim.attempt >= MOST_ATTEMPTS:
        _end(claim, Status.FAILED, code=code)
        return
    wait = timedelta(seconds=settings.INFERENCE_RETRY_BASE_S)
    ShadowAnswer.objects.filter(
        pk=claim.answer_id, status=Status.QUEUED, attempts=claim.attempt
    ).update(due_at=timezone.now() + wait, code=code)


def _values(finding: engine.Finding) -> dict[str, Any]:
    point = finding.evidence.get("operating_point") or {}
    return {
        "code": "",
        "label": finding.label,
        "p_covid": finding.probabilities["covid"],
        "p_pneumonia": finding.probabilities["pneumonia"],
        "p_normal": finding.probabilities["normal"],
        "called": point.get("called"),
        "milliseconds": finding.milliseconds,
        "runtime": finding.runtime,
        "evidence": finding.evidence,
        "receipt": finding.receipt,
    }


# --- Reading -----------------------------------------------------------------------------------


def running_at(site_id: UUID) -> ShadowRun | None:
    """The run that is on at the site."""
    return (
        ShadowRun.objects.select_related("model_version", "started_by")
        .defer("model_version__manifest")
        .filter(site=site_id, ended_at=None)
        .first()
    )


def candidates_of(site_id: UUID) -> list[tuple[ModelVersion, str]]:
    """Every version that has run in shadow at the site with its fingerprint, the latest first."""
    runs = ShadowRun.objects.filter(site=site_id).select_related("model_version")
    found = {run.fingerprint: run.model_version for run in runs.order_by("created_at")}
    return [(version, fingerprint) for fingerprint, version in reversed(found.items())]
