"""Registering patients and correcting their data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, TypedDict

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, require
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.patients import rules
from screening.patients.models import Patient

_RULES: dict[str, Callable[[Any], Any]] = {
    "mrn": rules.check_mrn,
    "family_name": rules.check_family_name,
    "given_name": rules.check_given_name,
    "birth_date": rules.check_birth_date,
    "sex": rules.check_sex,
}
# A changed field drags along the column by which it is found.
_KEYS = {"mrn": "mrn_key", "family_name": "family_key", "given_name": "given_key"}


class PatientChanges(TypedDict, total=False):
    """The fields that may be changed; those left out stay as they are."""

    mrn: str
    family_name: str
    given_name: str
    birth_date: dt.date | None
    sex: str


@transaction.atomic
def create_patient(
    *,
    actor: User,
    site: Site,
    mrn: str,
    family_name: str,
    given_name: str = "",
    birth_date: dt.date | None = None,
    sex: str = "",
) -> Patient:
    """Register a patient. Raises ``InvalidInput``, or ``Conflict`` (``mrn_taken``)."""
    require(actor, Permission.EDIT_PATIENTS, site.pk)
    patient = Patient(
        site=site,
        mrn=_checked("mrn", mrn),
        family_name=_checked("family_name", family_name),
        given_name=_checked("given_name", given_name),
        birth_date=_checked("birth_date", birth_date),
        sex=_checked("sex", sex),
    )
    try:
        with transaction.atomic():
            patient.save(force_insert=True)
    except IntegrityError:
        raise _mrn_taken() from None
    record("patient.create", patient, actor=actor)
    return patient


def state_of(patient: Patient) -> str:
    """What tells one state of a patient's data from the next."""
    return patient.updated_at.isoformat()


@transaction.atomic
def update_patient(
    *, actor: User, patient: Patient, changes: PatientChanges, seen: str = ""
) -> Patient:
    """Correct a patient's data; the audit keeps which fields changed, not what they held.

    Nothing is written, and nothing recorded, when nothing changes. A form brings back all its
    fields, also those that nobody touched; so it says with ``seen`` (of ``state_of``) what it
    showed, and does not undo a colleague's correction made meanwhile. Raises as
    ``create_patient`` does, and ``Conflict`` (``changed_meanwhile``).
    """
    require(actor, Permission.EDIT_PATIENTS, patient.site_id)
    current = Patient.objects.select_for_update().get(pk=patient.pk)
    before = state_of(current)
    changed = []
    for field, value in changes.items():
        value = _checked(field, value)
        if value != getattr(current, field):
            setattr(current, field, value)
            changed.append(field)
    if not changed:
        return current
    if seen and seen != before:
        raise Conflict(
            _(
                "Somebody else has changed this patient's data in the meantime. "
                "Load the page again, look at what is there now, and repeat your change."
            ),
            code="changed_meanwhile",
        )
    keys = [_KEYS[field] for field in changed if field in _KEYS]
    try:
        with transaction.atomic():
            current.save(update_fields=(*changed, *keys, "updated_at"))
    except IntegrityError:
        raise _mrn_taken() from None
    record("patient.update", current, actor=actor, detail={"fields": sorted(changed)})
    return current


def _checked(field: str, value: Any) -> Any:
    try:
        return _RULES[field](value)
    except ValidationError as error:
        raise InvalidInput(error.messages[0], field=field) from None


def _mrn_taken() -> Conflict:
    return Conflict(
        _("A patient with this MRN is registered at your site already. Search for the MRN."),
        code="mrn_taken",
        field="mrn",
    )
