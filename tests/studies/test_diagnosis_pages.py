"""Confirmed diagnoses on pages and over the API."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.studies.models import ConfirmedDiagnosis, Image, Study
from tests.personas import ClientOf
from tests.record import rows

VALUES = {"label": "pneumonia", "basis": "final_diagnosis", "date": "2026-02-03", "note": "CT too"}


@pytest.fixture
def study(clinician_a: User, patient_a: Patient) -> Study:
    image: Image = rows.send_image(clinician_a, patient_a)
    return rows.study_of(image)


def test_a_diagnosis_is_recorded_from_the_study_page(
    study: Study, clinician_a: User, client_of: ClientOf
) -> None:
    client = client_of(clinician_a)
    page = client.get(f"/studies/{study.pk}/")
    assert "Nothing is confirmed yet" in page.content.decode()
    answer = client.post(f"/studies/{study.pk}/diagnosis/", {**VALUES, "seen": ""}, follow=True)
    assert answer.redirect_chain == [(f"/studies/{study.pk}/", 302)]
    text = answer.content.decode()
    assert "Pneumonia, not COVID-19" in text
    assert "Final diagnosis of 3 February 2026" in text
    assert "CT too" in text
    assert "Recorded by Alice Archer" in text


def test_what_is_wrong_is_said_and_what_was_typed_stays(
    study: Study, clinician_a: User, client_of: ClientOf
) -> None:
    answer = client_of(clinician_a).post(
        f"/studies/{study.pk}/diagnosis/", {"basis": "rt_pcr", "date": "2999-01-01", "note": "kept"}
    )
    assert answer.status_code == 422
    text = answer.content.decode()
    assert "Choose what the patient had." in text
    assert "The date lies in the future." in text
    assert "kept" in text
    assert not ConfirmedDiagnosis.objects.exists()


def test_a_form_that_was_open_for_long_supersedes_nothing_unseen(
    study: Study, clinician_a: User, admin_a: User, client_of: ClientOf
) -> None:
    where = f"/studies/{study.pk}/diagnosis/"
    client_of(admin_a).post(where, {**VALUES, "seen": ""})
    answer = client_of(clinician_a).post(where, {**VALUES, "label": "covid", "seen": ""})
    assert answer.status_code == 409
    assert "in the meantime" in answer.content.decode()
    assert ConfirmedDiagnosis.objects.get().label == "pneumonia"


def test_the_history_shows_what_was_corrected_and_withdrawn(
    study: Study, clinician_a: User, admin_a: User, client_of: ClientOf
) -> None:
    where = f"/studies/{study.pk}/diagnosis/"
    client_of(clinician_a).post(where, {**VALUES, "seen": ""})
    first = ConfirmedDiagnosis.objects.get()
    client = client_of(admin_a)
    client.post(where, {**VALUES, "label": "normal", "seen": str(first.pk)})
    second = ConfirmedDiagnosis.objects.current().get()
    answer = client.post(f"{where}withdraw/", {"seen": str(second.pk)}, follow=True)
    text = answer.content.decode()
    assert "The confirmed diagnosis is withdrawn." in text
    assert "Pneumonia, not COVID-19" in text
    assert "No finding in the chest" in text
    assert text.count("superseded by Adam Ashdown") == 2
    assert "2 earlier entries" in client.get(f"/studies/{study.pk}/").content.decode()


def test_opening_the_history_is_on_record(
    study: Study, clinician_a: User, client_of: ClientOf
) -> None:
    client_of(clinician_a).get(f"/studies/{study.pk}/diagnosis/")
    event = Event.objects.get(action="diagnosis.view")
    assert (event.object_id, event.actor_id) == (str(study.pk), clinician_a.pk)


def test_a_note_cannot_carry_markup(study: Study, clinician_a: User, client_of: ClientOf) -> None:
    client = client_of(clinician_a)
    client.post(f"/studies/{study.pk}/diagnosis/", {**VALUES, "note": "<b>x</b>\nnext", "seen": ""})
    text = client.get(f"/studies/{study.pk}/").content.decode()
    assert "&lt;b&gt;x&lt;/b&gt;<br>next" in text


def test_the_api_records_and_tells_the_history(
    study: Study, clinician_a: User, client_of: ClientOf
) -> None:
    client = client_of(clinician_a)
    where = f"/api/v1/studies/{study.pk}/diagnoses/"
    assert client.get(where).json() == []
    assert client.post(where, VALUES, content_type="application/json").status_code == 201
    made = client.post(where, {**VALUES, "label": "covid"}, content_type="application/json").json()
    assert (made["label"], made["superseded_at"], made["recorded_by"]) == ("covid", None, "alice")
    now, before = client.get(where).json()
    assert now == made
    assert (before["label"], before["superseded_by"]) == ("pneumonia", "alice")


@pytest.mark.parametrize("wrong", [{"label": "flu"}, {"date": "3.2.2026"}, {"date": "2999-01-01"}])
def test_the_api_refuses_what_makes_no_sense(
    study: Study, clinician_a: User, client_of: ClientOf, wrong: dict[str, str]
) -> None:
    answer = client_of(clinician_a).post(
        f"/api/v1/studies/{study.pk}/diagnoses/",
        {**VALUES, **wrong},
        content_type="application/json",
    )
    assert answer.status_code in (400, 422)
    assert set(answer.json()["fields"]) == set(wrong)
    assert not ConfirmedDiagnosis.objects.exists()


def test_nobody_learns_of_a_study_that_is_not_there(clinician_a: User, client_of: ClientOf) -> None:
    client: Client = client_of(clinician_a)
    assert client.get(f"/studies/{uuid4()}/diagnosis/").status_code == 404
    assert client.get(f"/api/v1/studies/{uuid4()}/diagnoses/").status_code == 404


def test_who_reads_blind_is_not_told_the_truth_either(
    north: Site, admin_a: User, clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    set_blind_first(actor=admin_a, site=north, is_on=True)
    image = rows.send_image(clinician_a, patient_a)
    rows.finish(image)
    client = client_of(clinician_a)
    client.post(f"/studies/{image.study_id}/diagnosis/", {**VALUES, "seen": ""})
    text = client.get(f"/studies/{image.study_id}/").content.decode()
    assert "Shown once your first impression is recorded" in text
    assert "Pneumonia, not COVID-19" not in text
