"""Asking for an export, making it, looking it over, handing it out, and clearing it away."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from billiard.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.models import Outcome
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput, PortalError
from screening.core.tasks import send_after_commit, send_now
from screening.sharing import tasks
from screening.sharing.archive import Archive
from screening.sharing.blackout import MOST_BORDER, MOST_BOXES, Box
from screening.sharing.models import Export, ExportedStudy, SiteKey, State
from screening.sharing.options import Dates, ExportOptions, Names
from screening.sharing.pseudonyms import new_key
from screening.sharing.selectors import EXPORTS, refuse_hidden, select_studies
from screening.studies import storage
from screening.studies.models import Image, Study

logger = logging.getLogger(__name__)

MOST_ATTEMPTS: Final = 2
LEASE: Final = timedelta(seconds=115)
RESEND_AFTER: Final = timedelta(minutes=2)
READ_AT_ONCE: Final = 1024 * 1024


def request_export(*, actor: User, keys: Collection[UUID], options: ExportOptions) -> Export:
    """Note down that ``actor`` wants the studies with these keys, and have them made.

    :raises Http404: one of them is not there for ``actor``.
    :raises Forbidden: the actor may not export, or not keep a list of who is who.
    :raises InvalidInput: too many, none, of several sites, or an option makes no sense.
    """
    chosen = select_studies(actor, keys)
    _check(options, chosen.studies)
    if options.keep_list:
        policies.require(actor, Permission.REIDENTIFY, chosen.site_id)
    now = timezone.now()
    with transaction.atomic():
        export = Export.objects.create(
            site_id=chosen.site_id,
            requested_by=actor,
            options=options.as_json(),
            sent_at=now,
            expires_at=now + timedelta(days=settings.EXPORT_KEPT_DAYS),
        )
        ExportedStudy.objects.bulk_create(
            ExportedStudy(export=export, study=study) for study in chosen.studies
        )
        record(
            "export.deidentified",
            export,
            actor=actor,
            detail={
                "studies": [str(study.pk) for study in chosen.studies],
                "images": chosen.images,
                **options.as_told(),
            },
        )
        send_after_commit(tasks.build_export, str(export.pk))
    return export


def build_export(export_id: UUID) -> None:
    """Make the file of an export unless there is nothing to claim. Called by a worker."""
    export = _claim(export_id)
    if export is None:
        return
    actor = export.requested_by
    try:
        # Whoever asked may have left since, or lost the right.
        policies.require(actor, Permission.EXPORT_DEIDENTIFIED, export.site_id)
        _make(export, actor)
    except SoftTimeLimitExceeded:
        _fail(export, "took_too_long")
    except PortalError as error:
        _fail(export, error.code)
    except OSError:
        _fail(export, "storage_unavailable")
    except Exception as error:
        # The words of an unknown error may quote a file, and so a patient: only its kind.
        logger.error("export %s: %s", export.pk, type(error).__name__)
        _fail(export, "unexpected")


def look_over(*, actor: User, export: Export) -> Export:
    """Note that ``actor`` has looked at the pictures that may carry words.

    :raises Forbidden: the actor may not export at its site.
    """
    policies.require(actor, Permission.EXPORT_DEIDENTIFIED, export.site_id)
    with transaction.atomic():
        moved = Export.objects.filter(pk=export.pk, state=State.DONE, looked_at=None).update(
            looked_by=actor, looked_at=timezone.now(), updated_at=timezone.now()
        )
        if moved:
            record("export.look_over", export, actor=actor, detail={"images": len(export.findings)})
    return export


def remove_export(*, actor: User, export: Export) -> None:
    """Remove the file of an export before its time.

    :raises Forbidden: the actor may not export at its site.
    """
    policies.require(actor, Permission.EXPORT_DEIDENTIFIED, export.site_id)
    with transaction.atomic():
        gone = _close(Export.objects.select_for_update().get(pk=export.pk), "removed")
        record("export.remove", export, actor=actor)
    storage.discard(*gone)


def open_download(*, actor: User, export: Export) -> Export:
    """The export, ready to be sent to ``actor``; one line in the audit.

    :raises Forbidden: the actor may not export, or (``answer_hidden``) has to read first.
    :raises Conflict: ``not_ready``, or ``not_looked_over``.
    """
    policies.require(actor, Permission.EXPORT_DEIDENTIFIED, export.site_id)
    if export.state != State.DONE:
        raise Conflict(_("There is no file to download (any more)."), code="not_ready")
    answered = Study.objects.filter(exports__export=export, exports__with_answer=True)
    refuse_hidden(actor, answered)
    if export.wants_a_look:
        raise Conflict(
            _("Some pictures may carry words. Look at them first, and say that you have."),
            code="not_looked_over",
        )
    record("export.download", export, actor=actor, detail={"sha256": export.sha256})
    return export


def open_list(*, actor: User, export: Export) -> list[list[str]]:
    """Who is behind each pseudonym: pseudonym, MRN, study, its new UID, days its dates moved.

    :raises Forbidden: the actor may not undo pseudonyms.
    :raises Conflict: ``no_list``: none was wanted.
    """
    policies.require(actor, Permission.REIDENTIFY, export.site_id)
    rows = ExportedStudy.objects.filter(export=export).exclude(patient_pseudonym="")
    found = [
        [
            row.patient_pseudonym,
            row.study.patient.mrn,
            str(row.study_id),
            row.study_uid,
            "" if row.shift_days is None else str(row.shift_days),
        ]
        for row in rows.select_related("study__patient")
    ]
    if not found:
        raise Conflict(
            _("No list of who is who was wanted for this export, so none exists."), code="no_list"
        )
    record("export.reidentify", export, actor=actor, detail={"studies": len(found)})
    return found


def sweep_exports() -> int:
    """Send lost messages again, give up what died, remove what has expired; return how many."""
    now = timezone.now()
    lost = Q(state=State.QUEUED, sent_at__lte=now - RESEND_AFTER) | Q(
        state=State.RUNNING, lease_expires_at__lte=now
    )
    moved = 0
    for export in Export.objects.filter(lost).order_by("sent_at")[:100]:
        if export.attempts >= MOST_ATTEMPTS:
            _fail(export, "worker_lost")
        elif Export.objects.filter(pk=export.pk, sent_at=export.sent_at).update(sent_at=now):
            send_now(tasks.build_export, str(export.pk))
        moved += 1
    for export in Export.objects.filter(state=State.DONE, expires_at__lte=now)[:100]:
        with transaction.atomic():
            gone = _close(Export.objects.select_for_update().get(pk=export.pk), "expired")
            record("export.expire", export)
        storage.discard(*gone)
        moved += 1
    return moved


def close_exports_with(study_ids: Collection[UUID]) -> list[str]:
    """End every export that holds one of these studies; return the files to be removed.

    Works in the caller's transaction, which also deletes the rows that name the studies.
    """
    keys = set(ExportedStudy.objects.filter(study__in=study_ids).values_list("export", flat=True))
    gone: list[str] = []
    for export in Export.objects.select_for_update().filter(pk__in=keys):
        gone += _close(export, "erased")
    return gone


def _check(options: ExportOptions, studies: list[Study]) -> None:
    sound = options.dates in Dates.values and options.names in Names.values
    sound = sound and 0 <= options.border <= MOST_BORDER
    images = {
        str(key) for key in Image.objects.filter(study__in=studies).values_list("pk", flat=True)
    }
    for key, boxes in options.boxes.items():
        sound = sound and key in images and len(boxes) <= MOST_BOXES
        sound = sound and all(len(box) == 4 and Box(*box).is_sound for box in boxes)
    if not sound:
        raise InvalidInput(_("Choose one of the values that are offered."))


def _claim(export_id: UUID) -> Export | None:
    """Take the export for this process by compare-and-set; the attempt is counted first."""
    export = Export.objects.select_related("requested_by").filter(pk=export_id).first()
    now = timezone.now()
    if export is None or not export.is_open or export.attempts >= MOST_ATTEMPTS:
        return None
    if export.state == State.RUNNING and (export.lease_expires_at or now) > now:
        return None
    moved = Export.objects.filter(
        pk=export.pk, state=export.state, attempts=export.attempts
    ).update(
        state=State.RUNNING,
        attempts=export.attempts + 1,
        lease_expires_at=now + LEASE,
        updated_at=now,
    )
    if not moved:
        return None
    export.attempts += 1
    return export


def _make(export: Export, actor: User) -> None:
    options = ExportOptions.of(export.options)
    key = _site_key(export) if options.names == Names.SITE else new_key()
    with tempfile.TemporaryFile() as target:
        written = Archive(target, export, actor, key).write()
        size = target.tell()
        target.seek(0)
        digest = hashlib.sha256()
        while chunk := target.read(READ_AT_ONCE):
            digest.update(chunk)
        target.seek(0)
        name = default_storage.save(
            storage.new_name(EXPORTS, export.pk, f".{export.attempts}.zip"), File(target)
        )
    with transaction.atomic():
        kept = Export.objects.filter(
            pk=export.pk, state=State.RUNNING, attempts=export.attempts
        ).update(
            state=State.DONE,
            finished_at=timezone.now(),
            lease_expires_at=None,
            file=name,
            sha256=digest.hexdigest(),
            size_bytes=size,
            images=written.images,
            findings=written.findings,
            updated_at=timezone.now(),
        )
        if kept:
            for study_id, about in written.studies.items():
                ExportedStudy.objects.filter(export=export, study=study_id).update(**about)
    if not kept:
        storage.discard(name)


def _site_key(export: Export) -> bytes:
    row, _created = SiteKey.objects.get_or_create(site_id=export.site_id)
    return bytes(row.key)


def _fail(export: Export, code: str) -> None:
    with transaction.atomic():
        moved = Export.objects.filter(pk=export.pk, state__in=(State.QUEUED, State.RUNNING)).update(
            state=State.FAILED,
            code=code[:60],
            finished_at=timezone.now(),
            lease_expires_at=None,
            updated_at=timezone.now(),
        )
        if moved:
            record("export.fail", export, outcome=Outcome.FAILED, detail={"code": code})


def _close(export: Export, code: str) -> list[str]:
    """Note that there is no file any more; return its name, for after the commit."""
    gone = [export.file] if export.file else []
    export.state, export.code, export.file = State.EXPIRED, code, ""
    export.findings, export.lease_expires_at = [], None
    export.options = {**export.options, "boxes": {}}
    export.save()
    return gone
