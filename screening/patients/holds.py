"""Legal holds: while one lies on a patient, nothing of the record may go."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts.models import User
from screening.accounts.policies import Permission, require
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.patients.models import LegalHold, Patient

REASON_LENGTH = 1000


@transaction.atomic
def place_hold(*, actor: User, patient: Patient, reason: str) -> LegalHold:
    """Keep the record of ``patient``, found by ``visible_to(actor)``, whatever rules say.

    :raises Forbidden: the actor may not place holds at the patient's site.
    :raises InvalidInput: there is no reason, or it is too long.
    :raises Conflict: ``on_hold`` already.
    """
    require(actor, Permission.HOLD_PATIENTS, patient.site_id)
    reason = checked_reason(reason)
    Patient.objects.select_for_update().get(pk=patient.pk)
    if active_hold(patient) is not None:
        raise Conflict(_("The patient is under legal hold already."), code="on_hold")
    hold = LegalHold.objects.create(patient=patient, reason=reason, placed_by=actor)
    record("hold.place", hold, site_id=patient.site_id, actor=actor)
    return hold


@transaction.atomic
def lift_hold(*, actor: User, patient: Patient, reason: str) -> LegalHold:
    """End the hold on ``patient``, found by ``visible_to(actor)``.

    :raises Forbidden: the actor may not lift holds at the patient's site.
    :raises InvalidInput: there is no reason, or it is too long.
    :raises Conflict: ``not_on_hold``.
    """
    require(actor, Permission.HOLD_PATIENTS, patient.site_id)
    reason = checked_reason(reason)
    Patient.objects.select_for_update().get(pk=patient.pk)
    hold = active_hold(patient)
    if hold is None:
        raise Conflict(_("The patient is not under legal hold."), code="not_on_hold")
    hold.lifted_at, hold.lifted_by, hold.lift_reason = timezone.now(), actor, reason
    hold.save(update_fields=("lifted_at", "lifted_by", "lift_reason", "updated_at"))
    record("hold.lift", hold, site_id=patient.site_id, actor=actor)
    return hold


def active_hold(patient: Patient) -> LegalHold | None:
    """The hold that lies on ``patient`` now."""
    rows = LegalHold.objects.filter(patient=patient, lifted_at__isnull=True)
    return rows.select_related("placed_by").first()


def holds_of(patient: Patient) -> list[LegalHold]:
    """Every hold there was, the newest first."""
    return list(LegalHold.objects.filter(patient=patient).select_related("placed_by", "lifted_by"))


def checked_reason(reason: str) -> str:
    """``reason`` without the space around it.

    :raises InvalidInput: there is none, or it is too long.
    """
    reason = reason.strip()
    if not reason or len(reason) > REASON_LENGTH or "\x00" in reason:
        raise InvalidInput(
            _("Say why, in at most %(count)s characters.") % {"count": REASON_LENGTH},
            field="reason",
        )
    return reason
