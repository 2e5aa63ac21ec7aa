"""The patients' pages as a clinician meets them."""

from __future__ import annotations

import re

from django.test import Client

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.patients.models import Patient
from tests.personas import ClientOf, make_patient

TYPED = {
    "family_name": "Okonkwo",
    "given_name": "Adaeze",
    "mrn": "N-77",
    "birth_date": "1988-02-29",
    "sex": "F",
}


def text_of(client: Client, path: str, **query: str) -> str:
    response = client.get(path, query)
    assert response.status_code == 200
    return response.content.decode()


def test_a_clinician_registers_a_patient_and_lands_on_the_case_record(
    client_of: ClientOf, clinician_a: User, north: Site
) -> None:
    client = client_of(clinician_a)
    page = text_of(client, "/patients/new/")
    assert "The record will belong to North Hospital." in page
    response = client.post("/patients/new/", TYPED)
    patient = Patient.objects.get()
    assert response["Location"] == f"/patients/{patient.pk}/"
    assert patient.site == north
    assert str(patient.birth_date) == "1988-02-29"
    assert [e.action for e in Event.objects.filter(object_type="patient")] == ["patient.create"]


def test_every_mistake_is_shown_at_once_beside_its_field(
    client_of: ClientOf, clinician_a: User
) -> None:
    response = client_of(clinician_a).post(
        "/patients/new/",
        {"family_name": " ", "mrn": "", "birth_date": "2999-01-01", "sex": "Q"},
    )
    page = response.content.decode()
    for sentence in (
        "Enter the family name.",
        "Enter the record number (MRN).",
        "The birth date lies in the future.",
        "Select a valid choice",
    ):
        assert sentence in page
    assert not Patient.objects.exists()


def test_a_taken_record_number_is_said_at_its_field_and_what_was_typed_stays(
    client_of: ClientOf, clinician_a: User, north: Site
) -> None:
    make_patient(north, mrn="n-77")
    page = client_of(clinician_a).post("/patients/new/", TYPED).content.decode()
    assert "registered at your site already" in page
    assert 'value="Okonkwo"' in page
    assert Patient.objects.count() == 1


def test_a_correction_shows_the_present_values_and_saves(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    client = client_of(clinician_a)
    path = f"/patients/{patient_a.pk}/edit/"
    page = text_of(client, path)
    assert 'value="Nordlund"' in page
    assert 'value="1962-03-14"' in page
    response = client.post(path, {**TYPED, "mrn": "N-1001", "birth_date": ""})
    assert response["Location"] == f"/patients/{patient_a.pk}/"
    patient_a.refresh_from_db()
    assert (patient_a.family_name, patient_a.birth_date) == ("Okonkwo", None)
    actions = [e.action for e in Event.objects.filter(object_id=str(patient_a.pk)).order_by("id")]
    assert actions == ["patient.view", "patient.update"]


def test_names_are_text_and_not_markup(client_of: ClientOf, clinician_a: User, north: Site) -> None:
    make_patient(north, family_name="<script>alert(1)</script>")
    page = text_of(client_of(clinician_a), "/patients/")
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_list_works_without_a_script(
    client_of: ClientOf, clinician_a: User, north: Site
) -> None:
    for number in range(60):
        make_patient(north, mrn=f"M{number:02d}", family_name=f"Name{number:02d}")
    client = client_of(clinician_a)
    first = text_of(client, "/patients/")
    assert "Name00" in first
    assert "Name49" in first
    assert "Name50" not in first
    assert 'rel="prev"' not in first
    [after] = re.findall(r'rel="next" href="([^"]+)"', first)
    second = client.get(after.replace("&amp;", "&")).content.decode()
    assert "Name50" in second
    assert "Name49" not in second
    assert 'rel="next"' not in second
    [before] = re.findall(r'rel="prev" href="([^"]+)"', second)
    assert "Name00" in client.get(before.replace("&amp;", "&")).content.decode()


def test_the_next_page_keeps_the_search(
    client_of: ClientOf, clinician_a: User, north: Site
) -> None:
    for _ in range(51):
        make_patient(north, family_name="O'Neill & Söhne")
    make_patient(north, family_name="Other")
    client = client_of(clinician_a)
    first = text_of(client, "/patients/", q="o'neill & s")
    [after] = re.findall(r'rel="next" href="([^"]+)"', first)
    second = client.get(after.replace("&amp;", "&").replace("&#x27;", "'")).content.decode()
    assert second.count('<th scope="row">') == 1
    assert "Other" not in second


def test_while_typing_only_the_results_are_sent(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    client = client_of(clinician_a)
    response = client.get("/patients/", {"q": "nord"}, headers={"HX-Request": "true"})
    page = response.content.decode()
    assert "Nordlund, Nina" in page
    assert "<html" not in page
    assert "Nobody is found" in text_of(client, "/patients/", q="zzz")
    assert "No patients are registered yet" not in text_of(client, "/patients/", q="zzz")


def test_a_look_at_the_list_leaves_one_event_without_the_search_text(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    text_of(client_of(clinician_a), "/patients/", q="nordl")
    [event] = Event.objects.filter(action="patient.search")
    assert event.detail == {"shown": 1, "narrowed": True}
    assert event.site_id == patient_a.site_id


def test_a_page_that_is_gone_says_so(client_of: ClientOf, clinician_a: User) -> None:
    response = client_of(clinician_a).get("/patients/", {"page": "next.0.damaged"})
    assert response.status_code == 422
    assert "Start from the first" in response.content.decode()


def test_the_other_site_does_not_exist(
    client_of: ClientOf, clinician_b: User, patient_a: Patient
) -> None:
    client = client_of(clinician_b)
    assert "Nordlund" not in text_of(client, "/patients/")
    path = f"/patients/{patient_a.pk}/edit/"
    assert client.get(path).status_code == 404
    assert client.post(path, TYPED).status_code == 404
    patient_a.refresh_from_db()
    assert patient_a.family_name == "Nordlund"


def test_a_form_that_was_open_for_long_undoes_no_colleagues_correction(
    client_of: ClientOf, clinician_a: User, admin_a: User, patient_a: Patient
) -> None:
    path = f"/patients/{patient_a.pk}/edit/"
    early, late = client_of(clinician_a), client_of(admin_a)
    shown = early.get(path).context["form"].initial
    assert 'name="seen"' in text_of(early, path)
    theirs = {name: shown[name] or "" for name in (*TYPED, "seen")}
    late.post(path, {**theirs, "mrn": "CORRECTED-1"})

    answer = early.post(path, {**theirs, "given_name": "Ninette"})
    assert answer.status_code == 200
    assert "in the meantime" in answer.content.decode()
    stored = Patient.objects.get(pk=patient_a.pk)
    assert (stored.mrn, stored.given_name) == ("CORRECTED-1", patient_a.given_name)

    again = early.get(path).context["form"].initial
    fresh = {name: again[name] or "" for name in (*TYPED, "seen")}
    assert early.post(path, {**fresh, "given_name": "Ninette"}).status_code == 302
    stored.refresh_from_db()
    assert (stored.mrn, stored.given_name) == ("CORRECTED-1", "Ninette")
