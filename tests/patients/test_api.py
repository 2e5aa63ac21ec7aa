"""Patients over the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from screening.accounts.models import Site, User
from screening.accounts.services.tokens import issue_token
from screening.audit.models import Event
from screening.patients.models import Patient
from tests.personas import ClientOf, make_patient

PATIENTS = "/api/v1/patients/"


def api_of(user: User) -> Client:
    return Client(headers={"Authorization": f"Token {issue_token(user=user)}"})


def post(client: Client, **fields: Any) -> Any:
    return client.post(PATIENTS, fields, content_type="application/json")


def test_register_read_correct(clinician_a: User, north: Site) -> None:
    api = api_of(clinician_a)
    made = post(api, mrn="A-1", family_name="Ada", birth_date="1990-01-02", sex="O")
    assert made.status_code == 201
    body = made.json()
    assert (body["mrn"], body["given_name"], body["birth_date"]) == ("A-1", "", "1990-01-02")
    one = f"{PATIENTS}{body['id']}/"
    assert api.get(one).json() == body
    changed = api.patch(one, {"given_name": "Lovelace"}, content_type="application/json")
    assert changed.status_code == 200
    assert changed.json()["given_name"] == "Lovelace"
    assert changed.json()["family_name"] == "Ada"
    actions = [e.action for e in Event.objects.filter(object_id=body["id"]).order_by("id")]
    assert actions == ["patient.create", "patient.view", "patient.update"]
    assert set(Event.objects.values_list("actor_id", flat=True)) == {clinician_a.pk}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"family_name": "A"}, "mrn"),
        ({"mrn": "1"}, "family_name"),
        ({"mrn": "1\x00", "family_name": "A"}, "mrn"),
        ({"mrn": "1", "family_name": "a\u202eb"}, "family_name"),
        ({"mrn": "1", "family_name": "a\ud800b"}, "family_name"),
        ({"mrn": "1", "family_name": "A", "birth_date": "2999-01-01"}, "birth_date"),
        ({"mrn": "1", "family_name": "A", "birth_date": "01.02.1990"}, "birth_date"),
        ({"mrn": "1", "family_name": "A", "sex": "Z"}, "sex"),
        ({"mrn": ["1"], "family_name": "A"}, "mrn"),
    ],
)
def test_what_is_wrong_is_named(clinician_a: User, fields: dict[str, Any], field: str) -> None:
    answer = post(api_of(clinician_a), **fields)
    assert answer.status_code == 400
    body = answer.json()
    assert body["code"] == "invalid"
    assert list(body["fields"]) == [field]
    assert body["message"].startswith(f"{field}: ")
    assert not Patient.objects.exists()


def test_a_taken_record_number_is_a_conflict(clinician_a: User, north: Site) -> None:
    make_patient(north, mrn="A-1")
    answer = post(api_of(clinician_a), mrn="a-1", family_name="B")
    assert answer.status_code == 409
    assert answer.json()["code"] == "mrn_taken"


def test_the_list_is_searched_and_paged(clinician_a: User, north: Site, south: Site) -> None:
    for number in range(53):
        make_patient(north, mrn=f"L-{number:02d}", family_name=f"Fam{number:02d}")
    make_patient(south, mrn="L-99", family_name="Fam99")
    api = api_of(clinician_a)
    first = api.get(PATIENTS, {"q": "fam"}).json()
    assert len(first["results"]) == 50
    assert first["previous"] is None
    second = api.get(first["next"]).json()
    assert [p["mrn"] for p in second["results"]] == ["L-50", "L-51", "L-52"]
    assert second["next"] is None
    assert api.get(second["previous"]).json()["results"] == first["results"]
    assert [p["mrn"] for p in api.get(PATIENTS, {"mrn": "l-07"}).json()["results"]] == ["L-07"]
    assert api.get(PATIENTS, {"mrn": "L-99"}).json()["results"] == []
    assert api.get(PATIENTS, {"cursor": "junk"}).json()["code"] == "bad_cursor"


def test_the_other_site_does_not_exist(clinician_b: User, patient_a: Patient) -> None:
    api = api_of(clinician_b)
    one = f"{PATIENTS}{patient_a.pk}/"
    for answer in (api.get(one), api.patch(one, {"sex": "M"}, content_type="application/json")):
        assert answer.status_code == 404
        assert answer.json()["code"] == "not_found"
    patient_a.refresh_from_db()
    assert patient_a.sex == "F"


def test_pages_may_use_the_api_with_their_session_but_not_without_the_forgery_token(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    assert client_of(clinician_a).get(PATIENTS).json()["results"][0]["mrn"] == "N-1001"
    forged = client_of(clinician_a, csrf=True)
    assert post(forged, mrn="1", family_name="A").status_code == 403
    assert Patient.objects.count() == 1


def test_there_is_no_deleting(clinician_a: User, patient_a: Patient) -> None:
    answer = api_of(clinician_a).delete(f"{PATIENTS}{patient_a.pk}/")
    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
