"""What a patient turned out to have: recorded, corrected, withdrawn, and never overwritten."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.patients.models import Patient
from screening.studies.diagnoses import (
    record_diagnoses,
    record_diagnosis,
    withdraw_diagnosis,
)
from screening.studies.models import Basis, ConfirmedDiagnosis, Diagnosis, Study
from screening.studies.selectors import current_diagnosis, diagnoses_of

DAY = dt.date(2026, 3, 4)


@pytest.fixture
def study(north: Site, patient_a: Patient, clinician_a: User) -> Study:
    return Study.objects.create(site=north, patient=patient_a, uploaded_by=clinician_a)


def note_down(actor: User, study: Study, label: str = "covid", **more: Any) -> ConfirmedDiagnosis:
    values = {"basis": Basis.RT_PCR, "date": DAY, **more}
    return record_diagnosis(actor=actor, study=study, label=label, **values)


def test_a_diagnosis_is_kept_with_who_and_when(clinician_a: User, study: Study) -> None:
    made = note_down(clinician_a, study, note="  Ct 24  ")
    found = current_diagnosis(clinician_a, study)
    assert found == made
    assert (found.label, found.basis, found.date) == (Diagnosis.COVID, Basis.RT_PCR, DAY)
    assert (found.note, found.recorded_by) == ("Ct 24", clinician_a)
    event = Event.objects.get(action="diagnosis.record")
    assert (event.actor_id, event.object_id) == (clinician_a.pk, str(made.pk))
    assert event.site_id == study.site_id
    assert "Ct 24" not in str(event.detail)


def test_a_correction_keeps_what_was_there(clinician_a: User, admin_a: User, study: Study) -> None:
    first = note_down(clinician_a, study)
    second = note_down(admin_a, study, Diagnosis.NORMAL, basis=Basis.FINAL_DIAGNOSIS)
    history = diagnoses_of(clinician_a, study)
    assert [row.pk for row in history] == [second.pk, first.pk]
    assert (history[1].label, history[1].superseded_by) == (Diagnosis.COVID, admin_a)
    assert history[1].superseded_at is not None
    assert current_diagnosis(clinician_a, study) == second


def test_saying_the_same_again_adds_nothing(clinician_a: User, study: Study) -> None:
    first = note_down(clinician_a, study)
    assert note_down(clinician_a, study) == first
    assert ConfirmedDiagnosis.objects.count() == 1
    assert Event.objects.filter(action="diagnosis.record").count() == 1


def test_a_colleagues_entry_is_not_superseded_unseen(
    clinician_a: User, admin_a: User, study: Study
) -> None:
    note_down(admin_a, study)
    with pytest.raises(Conflict, match="in the meantime") as refused:
        note_down(clinician_a, study, Diagnosis.OTHER, seen="")
    assert refused.value.code == "changed_meanwhile"
    assert ConfirmedDiagnosis.objects.get().label == Diagnosis.COVID


def test_withdrawing_leaves_the_history(clinician_a: User, admin_a: User, study: Study) -> None:
    first = note_down(clinician_a, study)
    withdraw_diagnosis(actor=admin_a, study=study, seen=first.pk)
    assert current_diagnosis(clinician_a, study) is None
    assert [row.superseded_by for row in diagnoses_of(clinician_a, study)] == [admin_a]
    assert Event.objects.filter(action="diagnosis.withdraw").count() == 1
    with pytest.raises(Conflict):
        withdraw_diagnosis(actor=admin_a, study=study, seen=first.pk)
    again = note_down(clinician_a, study)
    assert current_diagnosis(clinician_a, study) == again


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"label": "influenza"}, "label"),
        ({"basis": "rumour"}, "basis"),
        ({"date": dt.date(1850, 1, 1)}, "date"),
        ({"note": "x" * 2001}, "note"),
        ({"note": "a\x00b"}, "note"),
    ],
)
def test_what_makes_no_sense_is_refused(
    clinician_a: User, study: Study, values: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        note_down(clinician_a, study, **values)
    assert refused.value.field == field
    assert not ConfirmedDiagnosis.objects.exists()


def test_the_future_is_not_known(clinician_a: User, study: Study) -> None:
    today = timezone.localdate()
    assert note_down(clinician_a, study, date=today).date == today
    with pytest.raises(InvalidInput, match="future"):
        note_down(clinician_a, study, date=today + dt.timedelta(days=1))


def test_another_site_neither_sees_nor_records(
    clinician_a: User, clinician_b: User, deactivated: User, study: Study
) -> None:
    made = note_down(clinician_a, study)
    assert diagnoses_of(clinician_b, study) == []
    for stranger in (clinician_b, deactivated):
        with pytest.raises(Forbidden):
            note_down(stranger, study, Diagnosis.NORMAL)
        with pytest.raises(Forbidden):
            withdraw_diagnosis(actor=stranger, study=study, seen=made.pk)


def test_the_database_itself_holds_one_current_row(clinician_a: User, study: Study) -> None:
    note_down(clinician_a, study)
    with pytest.raises(IntegrityError), transaction.atomic():
        ConfirmedDiagnosis.objects.create(
            id=uuid4(),
            study=study,
            label=Diagnosis.OTHER,
            basis=Basis.OTHER,
            date=DAY,
            recorded_by=clinician_a,
        )


def test_many_at_once_are_recorded_like_one(
    admin_a: User, clinician_a: User, north: Site, patient_a: Patient, study: Study
) -> None:
    other = Study.objects.create(site=north, patient=patient_a, uploaded_by=clinician_a)
    before = note_down(clinician_a, study)
    values = {"label": "normal", "basis": Basis.OTHER, "date": DAY, "note": ""}
    entries = [(study, values), (other, values)]
    with pytest.raises(Conflict):
        record_diagnoses(actor=admin_a, site=north, entries=entries, replace=False)
    assert current_diagnosis(admin_a, other) is None
    record_diagnoses(actor=admin_a, site=north, entries=entries, replace=True)
    before.refresh_from_db()
    assert before.superseded_by == admin_a
    for one in (study, other):
        now = current_diagnosis(clinician_a, one)
        assert now is not None
        assert (now.label, now.recorded_by) == ("normal", admin_a)
    events = Event.objects.filter(action="diagnosis.record", actor_id=admin_a.pk)
    assert {event.detail.get("supersedes") for event in events} == {str(before.pk), None}


def test_many_at_once_ask_for_the_same_right(clinician_b: User, north: Site, study: Study) -> None:
    values = {"label": "normal", "basis": Basis.OTHER, "date": DAY, "note": ""}
    with pytest.raises(Forbidden):
        record_diagnoses(actor=clinician_b, site=north, entries=[(study, values)], replace=True)
