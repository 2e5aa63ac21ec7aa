"""CSV that a spreadsheet opens as plain values, showing what its reader may see."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.reading.models import Reading
from screening.record.selectors import PAGE_SIZE
from screening.report import exports
from screening.studies.diagnoses import record_diagnosis
from screening.studies.models import Study
from tests.personas import ClientOf
from tests.record import rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(client_of: ClientOf, clinician_a: User) -> Client:
    return client_of(clinician_a)


def fetch(client: Client, address: str, **query: Any) -> list[dict[str, str]]:
    response = client.get(address, query)
    assert response.status_code == 200
    assert response["Content-Disposition"].startswith("attachment;")
    assert response["Cache-Control"] == "no-store, private"
    body = b"".join(response.streaming_content).decode()
    assert body.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(body[1:])))


def test_the_history_has_a_line_an_image_with_answer_reading_and_diagnosis(
    alice: Client, clinician_a: User, study: Study, signed: Reading
) -> None:
    record_diagnosis(
        actor=clinician_a, study=study, label="covid", basis="rt_pcr", date=timezone.localdate()
    )
    rows.send_image(clinician_a, study.patient, study_id=study.pk, seed=2)
    first, second = fetch(alice, "/studies/csv/")
    assert first["study"] == second["study"] == str(study.pk)
    assert (first["mrn"], first["family name"]) == ("N-1001", "Nordlund")
    assert (first["ai class"], first["p pneumonia"]) == ("pneumonia", "0.91")
    assert (first["covid called"], first["doubt"]) == ("no", "Unreliable")
    assert (first["impression"], first["read by"]) == ("pneumonia", "alice")
    assert (first["confirmed diagnosis"], first["basis"]) == ("covid", "rt_pcr")
    assert (second["image status"], second["ai class"]) == ("queued", "")
    event = Event.objects.latest("id")
    assert (event.action, event.actor_id) == ("export.history", clinician_a.pk)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n="])
def test_nothing_runs_as_a_formula(
    start: str, alice: Client, clinician_a: User, north: Site
) -> None:
    evil = f'{start}HYPERLINK("http://x","y")'
    patient = Patient.objects.create(site=north, mrn=evil, family_name=evil, given_name=evil)
    rows.send_image(clinician_a, patient, name=evil)
    (line,) = fetch(alice, "/studies/csv/")
    for name, cell in line.items():
        assert not cell.lstrip().startswith(("=", "+", "-", "@")), name
        assert not cell.startswith(("\t", "\r")), name
    assert "HYPERLINK" in line["family name"]


def test_the_pages_filter_holds(alice: Client, clinician_a: User, patient_a: Patient) -> None:
    rows.finish(rows.send_image(clinician_a, patient_a), Label.NORMAL)
    rows.finish(rows.send_image(clinician_a, patient_a), Label.COVID)
    rows.send_image(clinician_a, patient_a)
    assert len(fetch(alice, "/studies/csv/")) == 3
    (line,) = fetch(alice, "/studies/csv/", label="covid", status="done")
    assert line["ai class"] == "covid"
    assert fetch(alice, "/studies/csv/", since="2999-01-01") == []
    assert alice.get("/studies/csv/", {"status": "odd"}).status_code == 422


def test_every_page_of_a_long_history_is_there_once(
    alice: Client, clinician_a: User, patient_a: Patient
) -> None:
    Study.objects.bulk_create(
        Study(site=patient_a.site, patient=patient_a, uploaded_by=clinician_a)
        for _ in range(2 * PAGE_SIZE + 3)
    )
    lines = fetch(alice, "/studies/csv/")
    assert len({line["study"] for line in lines}) == len(lines) == 2 * PAGE_SIZE + 3


def test_more_than_a_spreadsheet_should_hold_is_refused_before_it_starts(
    alice: Client, clinician_a: User, patient_a: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MOST_STUDIES", 1)
    rows.send_image(clinician_a, patient_a)
    assert len(fetch(alice, "/studies/csv/")) == 1
    rows.send_image(clinician_a, patient_a)
    response = alice.get("/studies/csv/", headers={"Accept": "application/json"})
    assert (response.status_code, response.json()["code"]) == (422, "too_many_rows")


def test_what_is_hidden_on_pages_is_hidden_here(
    alice: Client, clinician_a: User, admin_a: User, north: Site, patient_a: Patient
) -> None:
    set_blind_first(actor=admin_a, site=north, is_on=True)
    image = rows.send_image(clinician_a, patient_a)
    rows.finish(image, Label.COVID, carried=rows.evidence())
    record_diagnosis(
        actor=admin_a,
        study=rows.study_of(image),
        label="covid",
        basis="rt_pcr",
        date=timezone.localdate(),
    )
    (line,) = fetch(alice, "/studies/csv/")
    hidden = ("ai class", "p covid", "p normal", "covid called", "doubt", "model")
    for name in (*hidden, "confirmed diagnosis", "basis", "diagnosis date"):
        assert line[name] == exports.HIDDEN
    (line,) = fetch(alice, f"/patients/{patient_a.pk}/csv/")
    assert line["ai class"] == exports.HIDDEN
    assert fetch(alice, "/studies/csv/", label="covid") == []
    (line,) = fetch(alice, "/worklist/csv/")
    assert line["ai flag"] == exports.HIDDEN


def test_a_patients_case_history(
    alice: Client, clinician_a: User, patient_a: Patient, study: Study
) -> None:
    other = Patient.objects.create(site=patient_a.site, mrn="N-2", family_name="Other")
    rows.send_image(clinician_a, other)
    (line,) = fetch(alice, f"/patients/{patient_a.pk}/csv/")
    assert line["study"] == str(study.pk)
    event = Event.objects.latest("id")
    assert (event.action, event.object_id) == ("export.patient", str(patient_a.pk))


def test_the_worklist_as_its_filter_shows_it(
    alice: Client, clinician_a: User, patient_a: Patient, study: Study
) -> None:
    rows.send_image(clinician_a, patient_a)
    lines = fetch(alice, "/worklist/csv/")
    assert len(lines) == 2
    (line,) = fetch(alice, "/worklist/csv/", status="done")
    assert (line["study"], line["ai flag"], line["images"]) == (str(study.pk), "no", "1")
    assert Event.objects.latest("id").action == "export.worklist"


def test_the_other_site_exports_nothing_of_ours(
    client_of: ClientOf, clinician_b: User, patient_a: Patient, study: Study
) -> None:
    client = client_of(clinician_b)
    assert fetch(client, "/studies/csv/") == []
    assert fetch(client, "/worklist/csv/") == []
    assert client.get(f"/patients/{patient_a.pk}/csv/").status_code == 404
