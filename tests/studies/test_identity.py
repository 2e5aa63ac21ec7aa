"""A file that names another patient is not taken in unless somebody has confirmed the patient."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pydicom
import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from ml.phantom import encode_dicom
from screening.accounts.models import Site, User
from screening.accounts.services.tokens import issue_token
from screening.audit.models import Event
from screening.patients.models import Patient
from screening.studies import gate, identity
from screening.studies.decoder.child import stated_names
from screening.studies.identity import PatientMismatch, StatedIdentity, differences
from screening.studies.models import Image, Study
from screening.studies.services import receive_image
from tests import radiographs
from tests.ml.dicoms import nameless, with_tags
from tests.personas import ClientOf, make_patient
from tests.radiographs import stored_files, upload_of

BORN = dt.date(1962, 3, 14)
OTHER = {"PatientID": "S-77", "PatientName": "Suárez^Sancho", "PatientBirthDate": "19410203"}


def film(**tags: Any) -> bytes:
    """A film that names whomever ``tags`` say, in UTF-8."""
    return with_tags(radiographs.dicom(), SpecificCharacterSet="ISO_IR 192", **tags)


def stated(data: bytes) -> StatedIdentity:
    return identity.stated_identity(gate.check_image(data))


def of(family: str, given: str = "") -> Patient:
    return Patient(mrn="N-1", family_name=family, given_name=given, birth_date=BORN)


def named(pn: str) -> StatedIdentity:
    return StatedIdentity(names=identity._names(pn))


# --- What a file says --------------------------------------------------------------------------


def test_what_a_film_says_is_read_whatever_its_characters() -> None:
    found = stated(
        film(PatientID=" N-1001 ", PatientName="Nordlund^Nína^Åse", PatientBirthDate="19620314")
    )
    assert found == StatedIdentity("N-1001", BORN, (("Nordlund", "Nína Åse"),))
    latin = with_tags(
        radiographs.dicom(), SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg"
    )
    assert stated(latin).names == (("Müller", "Jörg"),)


@pytest.mark.parametrize("syntax", ["implicit", "big_endian", "deflated", "rle"])
def test_every_encoding_of_a_file_names_its_patient(syntax: Any) -> None:
    pixels = np.arange(256 * 256, dtype=np.int32).reshape(256, 256) % 4096
    found = stated(encode_dicom(pixels, seed=3, syntax=syntax))
    assert (found.mrn, found.birth_date) == ("PHANTOM-0003", dt.date(1970, 1, 1))
    assert found.names == (("Phantom", "Number 3"),)


def test_a_file_without_its_preamble_names_its_patient_too() -> None:
    data = film(**OTHER)
    bare = io.BytesIO()
    dataset = pydicom.dcmread(io.BytesIO(data))
    pydicom.dcmwrite(bare, pydicom.Dataset(dataset), implicit_vr=True, little_endian=True)
    assert stated(bare.getvalue()).mrn == "S-77"


def test_pictures_and_anonymous_films_name_nobody() -> None:
    nobody = StatedIdentity()
    assert stated(radiographs.png()) == nobody
    assert stated(radiographs.dicom()) == nobody
    assert stated(film(PatientID="", PatientName="^^", PatientBirthDate="unknown")) == nobody


def test_what_is_shown_of_a_file_is_one_short_line() -> None:
    found = stated(film(PatientID="A\tB\u202egpj", PatientName="X" * 500))
    assert found.mrn == "A Bgpj"
    assert len(found.names[0][0]) <= identity.LONGEST_SHOWN


PLACES = with_tags(
    nameless(encode_dicom(np.zeros((256, 256), dtype=np.int32))),
    PatientName="@" * 64,
    PatientID="#" * 64,
    PatientBirthDate="$" * 64,
)


@given(st.binary(max_size=64), st.sampled_from((b"@", b"#", b"$")))
def test_no_bytes_in_the_patients_fields_upset_anything(junk: bytes, place: bytes) -> None:
    data = PLACES.replace(place * 64, junk.ljust(64))
    assert len(data) == len(PLACES)
    header = gate.imaging.read_header(data)
    checked = gate.CheckedImage(data, "", header, b"", b"", stated_names(data))
    for difference in differences(identity.stated_identity(checked), of("Nordlund", "Nina")):
        assert difference.in_file.isprintable()


# --- Whether that is the patient ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "given", "in_file"),
    [
        ("Nordlund", "Nina", "NORDLUND^NINA"),
        ("Nordlund", "Nina", "Nordlund^N"),
        ("Nordlund", "Nina", "Nordlund^Nina^Maria^Dr."),
        ("Nordlund", "Nina Maria", "Nordlund^Maria"),
        ("Nordlund", "Nina", "NORDLUND NINA"),
        ("Nordlund", "Nina", "Nina^Nordlund"),
        ("Nordlund", "Nina", "Nordlund"),
        ("Nordlund", "Nina", "Nordlünd^Niina"),
        ("Nordlund", "", "Nordlund^Nina"),
        ("Müller", "Jörg", "MUELLER^JOERG"),
        ("Sørensen", "Åse", "SOERENSEN^AASE"),
        ("Łukasiewicz", "Ignacy", "Lukasiewicz^Ignacy"),
        ("Straße", "Max", "Strasse^Max"),
        ("Nordlund-Berg", "Nina", "Berg^Nina"),
        ("O'Connor", "Sinéad", "OConnor^Sinead"),
        ("Παπαδόπουλος", "Γιώργος", "Παπαδοπουλος^Γιωργος"),
        ("Papadopoulos", "Giorgos", "Παπαδόπουλος^Γιώργος"),  # can't be held against each other
        ("Yamada", "Taro", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("山田", "太郎", "Yamada^Tarou=山田^太郎"),
    ],
)
def test_the_same_name_written_another_way_is_no_question(
    family: str, given: str, in_file: str
) -> None:
    assert differences(named(in_file), of(family, given)) == []


@pytest.mark.parametrize(
    ("family", "given", "in_file"),
    [
        ("Nordlund", "Nina", "Suárez^Sancho"),
        ("Nordlund", "Nina", "Nordlund^Olaf"),
        ("Nordlund", "Nina", "Berg^Nina"),
        ("Nordlund", "Nina", "Suárez"),
        ("Nordlund", "Nina", "Nordlund Olaf"),
        ("Παπαδόπουλος", "Γιώργος", "Νικολάου^Μαρία"),
        ("山田", "太郎", "鈴木^花子"),
    ],
)
def test_another_name_is_one(family: str, given: str, in_file: str) -> None:
    (found,) = differences(named(in_file), of(family, given))
    assert (found.field, found.in_record) == ("name", str(of(family, given)))


def test_record_numbers_are_compared_as_the_portal_compares_them() -> None:
    patient = of("Nordlund")
    assert differences(StatedIdentity(mrn="n-１"), patient) == []
    (found,) = differences(StatedIdentity(mrn="N-10"), patient)
    assert (found.field, found.in_file, found.in_record) == ("mrn", "N-10", "N-1")


def test_a_birth_date_that_is_missing_on_one_side_is_not_compared() -> None:
    patient = of("Nordlund")
    (found,) = differences(StatedIdentity(birth_date=dt.date(1962, 3, 15)), patient)
    assert (found.field, found.in_file, found.in_record) == (
        "birth_date",
        "1962-03-15",
        "1962-03-14",
    )
    patient.birth_date = None
    assert differences(StatedIdentity(birth_date=dt.date(1962, 3, 15)), patient) == []


# --- At the entrances --------------------------------------------------------------------------


def send(user: User, patient: Patient, *, confirm: bool = False) -> Image:
    received = receive_image(
        actor=user,
        patient=patient,
        study_id=uuid4(),
        content=film(**OTHER),
        confirm_patient=confirm,
    )
    return received.image


@pytest.mark.django_db
def test_a_film_of_somebody_else_leaves_nothing_but_a_line_in_the_audit(
    clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    with pytest.raises(PatientMismatch) as caught:
        send(clinician_a, patient_a)
    assert caught.value.fields == ["mrn", "name", "birth_date"]
    assert "Suárez" not in caught.value.message
    assert stored_files(media_root) == []
    assert not Study.objects.exists()
    event = Event.objects.get()
    assert (event.action, event.outcome, event.object_id) == (
        "image.patient_mismatch",
        "denied",
        str(patient_a.pk),
    )
    assert event.detail == {"fields": ["mrn", "name", "birth_date"]}


@pytest.mark.django_db
def test_confirmed_it_comes_in_and_the_audit_says_who_confirmed_what(
    clinician_a: User, patient_a: Patient
) -> None:
    image = send(clinician_a, patient_a, confirm=True)
    assert image.study.patient == patient_a
    event = Event.objects.get(action="image.confirm_patient")
    assert (event.object_id, event.actor_id) == (str(image.pk), clinician_a.pk)
    assert event.detail == {"fields": ["mrn", "name", "birth_date"]}
    assert "Suárez" not in str(list(Event.objects.values()))


@pytest.mark.django_db
def test_a_needless_confirmation_is_not_written_down(clinician_a: User, patient_a: Patient) -> None:
    receive_image(
        actor=clinician_a,
        patient=patient_a,
        study_id=uuid4(),
        content=radiographs.dicom(),
        confirm_patient=True,
    )
    assert not Event.objects.filter(action="image.confirm_patient").exists()


@pytest.mark.django_db
def test_the_upload_pages_script_is_told_both_sides_and_may_confirm(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    client = client_of(clinician_a)
    where = f"/patients/{patient_a.pk}/uploads/{uuid4()}/"
    response = client.post(where, {"image": upload_of(film(**OTHER), "film.dcm")})
    assert response.status_code == 409
    body = response.json()
    assert body["code"] == "patient_mismatch"
    assert body["differences"][0] == {"field": "mrn", "in_file": "S-77", "in_record": "N-1001"}
    assert body["differences"][1]["in_file"] == "Suárez, Sancho"
    confirmed = {"image": upload_of(film(**OTHER), "film.dcm"), "confirm_patient": "1"}
    assert client.post(where, confirmed).status_code == 201


@pytest.mark.django_db
def test_without_scripts_a_tick_confirms(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    client, where = client_of(clinician_a), f"/patients/{patient_a.pk}/upload/"
    assert b"confirm_patient" not in client.get(where).content
    page = client.post(where, {"images": [upload_of(film(**OTHER), "film.dcm")]})
    text = page.content.decode()
    assert page.status_code == 422
    assert "patient_mismatch" in text
    assert "Suárez, Sancho" in text
    assert 'name="confirm_patient"' in text
    ticked = {"images": [upload_of(film(**OTHER), "film.dcm")], "confirm_patient": "1"}
    assert client.post(where, ticked).status_code == 302
    assert Image.objects.count() == 1


@pytest.mark.django_db
def test_the_api_takes_the_same_field(clinician_a: User, patient_a: Patient, north: Site) -> None:
    client = Client(headers={"Authorization": f"Token {issue_token(user=clinician_a)}"})
    neighbour = make_patient(
        north, mrn="S-77", family_name="Suarez", given_name="Sancho", birth_date=None
    )
    sent = {"patient": str(patient_a.pk), "images": [upload_of(film(**OTHER), "film.dcm")]}
    refused = client.post("/api/v1/studies/", sent)
    assert refused.status_code == 422
    assert refused.json()["code"] == "patient_mismatch"
    (image,) = refused.json()["images"]
    assert [d["field"] for d in image["differences"]] == ["mrn", "name", "birth_date"]
    sent["images"] = [upload_of(film(**OTHER), "film.dcm")]
    assert client.post("/api/v1/studies/", {**sent, "confirm_patient": "true"}).status_code == 201
    sent["images"] = [upload_of(film(**OTHER), "film.dcm")]
    rightly = {**sent, "patient": str(neighbour.pk)}
    assert client.post("/api/v1/studies/", rightly).status_code == 201
