"""Recording what a patient turned out to have. Nothing is overwritten: a correction adds a row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.studies.models import Basis, ConfirmedDiagnosis, Diagnosis, Study

EARLIEST = dt.date(1900, 1, 1)
NOTE_LENGTH = 2000
AT_ONCE = 200
"""So many rows are written by one statement: databases bound its parameters."""


@transaction.atomic
def record_diagnosis(
    *,
    actor: User,
    study: Study,
    label: str,
    basis: str,
    date: dt.date,
    note: str = "",
    seen: UUID | str | None = None,
) -> ConfirmedDiagnosis:
    """Note what the patient of ``study`` had, in place of what was noted before.

    ``study`` was found by ``visible_to(actor)``. ``seen`` is the key of the diagnosis that the
    form showed, empty where it showed none: a colleague's entry made meanwhile is not superseded
    unseen. None asks for no such check. Saying the same again adds nothing.

    :raises Forbidden: the actor may not record diagnoses at the study's site.
    :raises InvalidInput: a value makes no sense; ``field`` names it.
    :raises Conflict: ``changed_meanwhile``.
    """
    policies.require(actor, Permission.RECORD_DIAGNOSES, study.site_id)
    values = check_values(label=label, basis=basis, date=date, note=note)
    before = _hold_current(study, seen)
    if before is not None:
        if all(getattr(before, name) == value for name, value in values.items()):
            return before
        _supersede(before, actor)
    diagnosis = ConfirmedDiagnosis.objects.create(study=study, recorded_by=actor, **values)
    _note_down(diagnosis, before, actor)
    return diagnosis


@transaction.atomic
def record_diagnoses(
    *, actor: User, site: Site, entries: Sequence[tuple[Study, dict[str, Any]]], replace: bool
) -> None:
    """Note what the patients of many studies of one site had, all or nothing.

    Each entry is a study, no study twice, and its values from ``check_values``. Where ``replace``
    is not given no other diagnosis may stand there.

    :raises Forbidden: the actor may not record diagnoses at the site.
    :raises Conflict: ``changed_meanwhile``.
    """
    policies.require(actor, Permission.RECORD_DIAGNOSES, site.pk)
    current: dict[UUID, ConfirmedDiagnosis] = {}
    keys = sorted(study.pk for study, _values in entries)
    for start in range(0, len(keys), AT_ONCE):
        part = keys[start : start + AT_ONCE]
        list(Study.objects.select_for_update().filter(site=site, pk__in=part).order_by("pk"))
        rows = ConfirmedDiagnosis.objects.current().filter(study__in=part)
        current |= {row.study_id: row for row in rows}
    if current and not replace:
        raise _changed_meanwhile()
    now = timezone.now()
    for before in current.values():
        before.superseded_by, before.superseded_at, before.updated_at = actor, now, now
    changed = ("superseded_by", "superseded_at", "updated_at")
    ConfirmedDiagnosis.objects.bulk_update(current.values(), changed, batch_size=AT_ONCE)
    made = [
        ConfirmedDiagnosis(study=study, recorded_by=actor, **values) for study, values in entries
    ]
    ConfirmedDiagnosis.objects.bulk_create(made, batch_size=AT_ONCE)
    for diagnosis in made:
        _note_down(diagnosis, current.get(diagnosis.study_id), actor)


@transaction.atomic
def withdraw_diagnosis(*, actor: User, study: Study, seen: UUID | str) -> ConfirmedDiagnosis:
    """Take back the current diagnosis, which stays in the history and is superseded by none.

    :raises Forbidden: the actor may not record diagnoses at the study's site.
    :raises Conflict: ``changed_meanwhile``, also where there is none any more.
    """
    policies.require(actor, Permission.RECORD_DIAGNOSES, study.site_id)
    current = _hold_current(study, seen)
    if current is None:
        raise _changed_meanwhile()
    _supersede(current, actor)
    record("diagnosis.withdraw", current, actor=actor, detail={"study": str(study.pk)})
    return current


def check_values(*, label: str, basis: str, date: dt.date, note: str) -> dict[str, Any]:
    """The values of a diagnosis, tidied.

    :raises InvalidInput: one makes no sense; ``field`` names it.
    """
    return {
        "label": _known(label, Diagnosis, "label"),
        "basis": _known(basis, Basis, "basis"),
        "date": _checked_date(date),
        "note": _checked_note(note),
    }


def _hold_current(study: Study, seen: UUID | str | None) -> ConfirmedDiagnosis | None:
    """The diagnosis that holds now, with the study's row locked so that it stays so."""
    Study.objects.select_for_update().get(pk=study.pk)
    current = ConfirmedDiagnosis.objects.current().filter(study=study).first()
    if seen is not None and str(seen) != (str(current.pk) if current is not None else ""):
        raise _changed_meanwhile()
    return current


def _note_down(
    diagnosis: ConfirmedDiagnosis, before: ConfirmedDiagnosis | None, actor: User
) -> None:
    study = str(diagnosis.study_id)
    detail = {"study": study, "label": diagnosis.label, "basis": diagnosis.basis}
    if before is not None:
        detail["supersedes"] = str(before.pk)
    record("diagnosis.record", diagnosis, actor=actor, detail=detail)


def _supersede(diagnosis: ConfirmedDiagnosis, actor: User) -> None:
    diagnosis.superseded_by = actor
    diagnosis.superseded_at = timezone.now()
    diagnosis.save(update_fields=["superseded_by", "superseded_at", "updated_at"])


def _changed_meanwhile() -> Conflict:
    return Conflict(
        _(
            "Somebody else has changed this study's diagnosis in the meantime. "
            "Look at what is recorded now, and repeat your entry if it is still needed."
        ),
        code="changed_meanwhile",
    )


def _known(value: str, choices: type[Diagnosis] | type[Basis], field: str) -> str:
    if value not in choices.values:
        raise InvalidInput(_("Choose one of the values that are offered."), field=field)
    return str(value)


def _checked_date(day: dt.date) -> dt.date:
    if day > timezone.localdate():
        raise InvalidInput(_("The date lies in the future."), field="date")
    if day < EARLIEST:
        raise InvalidInput(
            _("The date must not lie before %(year)s.") % {"year": EARLIEST.year}, field="date"
        )
    return day


def _checked_note(note: str) -> str:
    note = note.strip()
    if len(note) > NOTE_LENGTH:
        raise InvalidInput(
            _("Use at most %(count)s characters.") % {"count": NOTE_LENGTH}, field="note"
        )
    if "\x00" in note:
        raise InvalidInput(_("The note contains invisible characters; type it anew."), field="note")
    return note
