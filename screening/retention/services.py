"""Erasing a patient: all rows in one transaction, then all files, then the certificate.

The audit keeps its events, which hold keys and no names, so its chain stays whole. Aggregate
figures (``insight.DailyFigures``) stay: nobody can be found in them.
"""

from __future__ import annotations

import logging
from uuid import UUID

from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.core.row_security import lifted
from screening.patients.holds import active_hold, checked_reason
from screening.patients.models import Erasure, ErasureCertificate, Patient
from screening.patients.normalise import mrn_key, name_key
from screening.retention import erased_list
from screening.retention.plan import PLAN, count_rows, files_of
from screening.sharing.services import close_exports_with
from screening.studies.models import Study

logger = logging.getLogger(__name__)


def erase_patient(*, actor: User, patient: Patient, mrn: str, reason: str) -> Erasure:
    """Remove ``patient``, found by ``visible_to(actor)``, and everything that belongs to it.

    ``mrn`` is the record number once more, as the actor typed it. Whoever calls has had the actor
    prove the identity a moment ago.

    :raises Forbidden: the actor may not erase patients of the site.
    :raises InvalidInput: the number is another one, or the reason is missing or names the patient.
    :raises Conflict: ``on_hold``.
    """
    policies.require(actor, Permission.ERASE_PATIENTS, patient.site_id)
    if mrn_key(mrn) != patient.mrn_key:
        raise InvalidInput(_("This is not the record number of the patient."), field="mrn")
    reason = checked_reason(reason)
    _refuse_names(reason, patient)
    return erase(patient.pk, kind=Erasure.Kind.ASKED, actor=actor, reason=reason)


def erase(
    patient_id: UUID, *, kind: Erasure.Kind, actor: User | None = None, reason: str = ""
) -> Erasure:
    """Remove a patient; who may ask for it was settled before.

    :raises Patient.DoesNotExist: there is none (any more).
    :raises Conflict: ``on_hold``.
    """
    # Reviews of an emergency belong to the other site as well, and go all the same.
    with lifted():
        erasure = _erase_rows(patient_id, kind, actor, reason)
        complete(erasure)
    return erasure


def _erase_rows(patient_id: UUID, kind: Erasure.Kind, actor: User | None, reason: str) -> Erasure:
    with transaction.atomic():
        patient = Patient.objects.select_for_update().get(pk=patient_id)
        if active_hold(patient) is not None:
            raise Conflict(
                _("The patient is under legal hold. Nothing can be erased until it is lifted."),
                code="on_hold",
            )
        studies = list(
            Study.objects.select_for_update().filter(patient=patient).values_list("pk", flat=True)
        )
        erasure = Erasure(
            site_id=patient.site_id,
            patient_id=patient.pk,
            kind=kind,
            reason=reason,
            asked_by_id=actor.pk if actor is not None else None,
            asked_by_name=actor.get_username() if actor is not None else "",
            counts=count_rows(patient.pk),
            files=sorted({*files_of(patient.pk), *close_exports_with(studies)}),
        )
        record(
            "patient.erase",
            erasure,
            actor=actor,
            detail={"kind": str(kind), "rows": erasure.counts, "files": len(erasure.files)},
        )
        erasure.save(force_insert=True)
        for part in PLAN:
            part.rows(patient_id).delete()
    return erasure


def complete(erasure: Erasure) -> ErasureCertificate | None:
    """Remove the files and write the certificate; None while a file could not be removed.

    Harmless to repeat: the scheduler does so for every erasure without a certificate.
    """
    removed = 0
    for name in erasure.files:
        try:
            if default_storage.exists(name):
                default_storage.delete(name)
                removed += 1
        except OSError as error:
            logger.error("erasure %s waits for a file: %s", erasure.pk, type(error).__name__)
            return None
    try:
        erased_list.note(erasure)
    except OSError as error:
        logger.error("erasure %s is not on the list yet: %s", erasure.pk, type(error).__name__)
        return None
    with transaction.atomic():
        certificate, created = ErasureCertificate.objects.get_or_create(
            erasure=erasure, defaults={"files": removed}
        )
        if created:
            record(
                "patient.erased",
                erasure,
                site_id=erasure.site_id,
                detail={"certificate": str(certificate.pk), "files": removed},
            )
    _forget_pages()
    return certificate


def complete_open() -> int:
    """Complete what a crash or a full disk left open; return how many are done now."""
    waiting = Erasure.objects.filter(certificate__isnull=True).order_by("created_at")[:50]
    return sum(complete(erasure) is not None for erasure in waiting)


def _refuse_names(reason: str, patient: Patient) -> None:
    """The reason stays when the patient is gone, so it must not name anybody."""
    said = name_key(reason)
    words = f"{patient.family_name} {patient.given_name} {patient.mrn}".split()
    if any(len(word) > 2 and name_key(word) in said for word in words):
        raise InvalidInput(
            _("The reason is kept after the erasure: do not name the patient in it."),
            field="reason",
            code="names_patient",
        )


def _forget_pages() -> None:
    """Take what was removed out of SQLite's log as well; its pages are overwritten anyhow.

    (``secure_delete`` in ``portal.settings.sqlite``.) PostgreSQL's vacuum does so by itself.
    """
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
