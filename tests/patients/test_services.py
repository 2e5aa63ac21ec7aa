"""Registering and correcting: what is written, what is recorded, what is refused."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from screening.accounts.models import Role, Site, User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.patients.models import Patient
from screening.patients.services import create_patient, update_patient
from tests.personas import make_patient


def patient_events() -> list[tuple[str, object]]:
    return [(e.action, e.detail) for e in Event.objects.order_by("id")]


def test_a_patient_is_registered_tidily_with_one_event(clinician_a: User, north: Site) -> None:
    patient = create_patient(
        actor=clinician_a,
        site=north,
        mrn=" ab  1 ",
        family_name=" Nord  lund",
        given_name="",
        birth_date=dt.date(1950, 5, 1),
        sex="F",
    )
    stored = Patient.objects.get(pk=patient.pk)
    assert (stored.mrn, stored.family_name, stored.site) == ("ab 1", "Nord lund", north)
    [event] = Event.objects.all()
    assert (event.action, event.object_type, event.object_id) == (
        "patient.create",
        "patient",
        str(patient.pk),
    )
    assert (event.actor_id, event.site_id) == (clinician_a.pk, north.pk)


def test_a_record_number_is_taken_only_once_in_a_site(
    clinician_a: User, north: Site, south: Site
) -> None:
    make_patient(south, mrn="X-1")
    make_patient(north, mrn="x-1")
    with pytest.raises(Conflict) as refusal:
        create_patient(actor=clinician_a, site=north, mrn="X-1", family_name="Zwei")
    assert (refusal.value.code, refusal.value.field) == ("mrn_taken", "mrn")
    assert "X-1" not in refusal.value.message
    assert not Event.objects.exists()
    other = make_patient(north, mrn="X-2")
    with pytest.raises(Conflict):
        update_patient(actor=clinician_a, patient=other, changes={"mrn": "x-1"})
    assert Patient.objects.get(pk=other.pk).mrn == "X-2"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mrn", " "),
        ("family_name", "\x07"),
        ("given_name", "x" * 121),
        ("birth_date", dt.date(2999, 1, 1)),
        ("sex", "X"),
    ],
)
def test_the_services_hold_the_rules_themselves(
    clinician_a: User, north: Site, field: str, value: object
) -> None:
    fields: dict[str, object] = {"mrn": "1", "family_name": "A", field: value}
    with pytest.raises(InvalidInput) as refusal:
        create_patient(actor=clinician_a, site=north, **fields)  # type: ignore[arg-type]
    assert refusal.value.field == field
    patient = make_patient(north)
    with pytest.raises(InvalidInput):
        update_patient(actor=clinician_a, patient=patient, changes={field: value})  # type: ignore[misc]
    assert not Event.objects.exists()


def test_a_correction_records_which_fields_changed_and_never_what_they_held(
    clinician_a: User, north: Site
) -> None:
    patient = make_patient(north, mrn="OLD-1", family_name="Altmann", given_name="Agnes")
    update_patient(
        actor=clinician_a,
        patient=patient,
        changes={"family_name": "Neumann", "given_name": "Agnes", "mrn": "NEW-1"},
    )
    stored = Patient.objects.get(pk=patient.pk)
    assert (stored.family_key, stored.mrn_key) == ("neumann", "new-1")
    [event] = Event.objects.all()
    assert (event.action, event.detail) == (
        "patient.update",
        {"fields": ["family_name", "mrn"]},
    )
    told = json.dumps([event.detail, event.object_id, event.actor_name])
    assert not any(word in told for word in ("Altmann", "Neumann", "OLD-1", "NEW-1", "Agnes"))


def test_nothing_changed_leaves_no_event_and_no_write(clinician_a: User, north: Site) -> None:
    patient = make_patient(north, family_name="Bleibt")
    before = Patient.objects.get(pk=patient.pk).updated_at
    update_patient(actor=clinician_a, patient=patient, changes={"family_name": " Bleibt "})
    assert Patient.objects.get(pk=patient.pk).updated_at == before
    assert not Event.objects.exists()


def test_a_changed_record_number_may_differ_in_capitals_only(
    clinician_a: User, north: Site
) -> None:
    patient = make_patient(north, mrn="ab-1")
    update_patient(actor=clinician_a, patient=patient, changes={"mrn": "AB-1"})
    assert Patient.objects.get(pk=patient.pk).mrn == "AB-1"


@pytest.mark.parametrize("role", list(Role.values))
def test_nobody_writes_at_a_site_without_a_membership_there(
    clinician_b: User, admin_b: User, north: Site, role: str
) -> None:
    actor = clinician_b if role == Role.CLINICIAN else admin_b
    with pytest.raises(Forbidden):
        create_patient(actor=actor, site=north, mrn="1", family_name="A")
    with pytest.raises(Forbidden):
        update_patient(actor=actor, patient=make_patient(north), changes={"sex": "M"})
