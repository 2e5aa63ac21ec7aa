"""Service accounts: what a device may do, and that it may do nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from ml.phantom import phantom_dicom, phantom_png
from screening.accounts.models import (
    ApiToken,
    Invitation,
    Membership,
    Role,
    ServiceAccount,
    Site,
    User,
)
from screening.accounts.services.devices import make_device, make_device_token
from screening.accounts.services.tokens import issue_token
from screening.audit.models import Event
from screening.patients.models import Patient
from screening.studies.models import Study
from tests.permissions import objects as things
from tests.permissions.test_matrix import _send
from tests.permissions.test_token_scopes import API_ROWS
from tests.permissions.undoing import undone
from tests.personas import PASSWORD, ClientOf

STUDIES = "/api/v1/studies/"


@pytest.fixture
def device(admin_a: User, north: Site) -> ServiceAccount:
    return make_device(actor=admin_a, site=north, name="X-ray room 2")


def api_of(device: ServiceAccount, admin: User) -> Client:
    issued = make_device_token(actor=admin, device=device, name="Room", days=30)
    return Client(headers={"Authorization": f"Token {issued.secret}"})


def xray(seed: int = 21) -> SimpleUploadedFile:
    return SimpleUploadedFile("chest.png", phantom_png(seed=seed, size=(256, 256)), "image/png")


def test_it_is_made_on_the_page_sends_by_record_number_and_asks_what_became_of_it(
    client_of: ClientOf, admin_a: User, patient_a: Patient
) -> None:
    browser = client_of(admin_a)
    page = browser.post("/site/devices/", {"name": "X-ray room 1"}, follow=True)
    shown = browser.post(page.redirect_chain[-1][0], {"name": "Room", "days": "90"})
    [secret] = re.findall(r"thora_[\w-]{43}", shown.content.decode())
    api = Client(headers={"Authorization": f"Token {secret}"})
    sent = api.post(STUDIES, {"mrn": "n-1001", "images": [xray()]})
    assert sent.status_code == 201
    study = Study.objects.get()
    assert study.patient == patient_a
    answer = api.get(f"/api/v1/uploads/{study.pk}/")
    assert answer.status_code == 200
    assert set(answer.json()) == {"id", "status", "images"}
    assert set(answer.json()["images"][0]) == {"id", "sha256", "status"}


def test_everything_it_does_names_the_token_and_who_answers_for_it(
    device: ServiceAccount, admin_a: User, patient_a: Patient
) -> None:
    api = api_of(device, admin_a)
    assert api.post(STUDIES, {"mrn": patient_a.mrn, "images": [xray()]}).status_code == 201
    assert api.get("/api/v1/patients/").status_code == 403
    token = ApiToken.objects.get()
    for action in ("image.receive", "access.deny"):
        [event] = Event.objects.filter(action=action)
        assert event.actor_id == device.user_id
        assert (event.token_id, event.owner_id) == (token.pk, admin_a.pk)


def test_it_reaches_nothing_but_uploads(
    clinician_a: User,
    patient_a: Patient,
    device: ServiceAccount,
    admin_a: User,
) -> None:
    studies = things.studies_of_north(clinician_a, patient_a)
    objects = things.accounts_of_north(clinician_a, admin_a)
    objects |= things.reports_of_north(clinician_a, studies)
    api = api_of(device, admin_a)
    got = {}
    for row in API_ROWS:
        with undone():
            response = _send(api, row, objects)
        got[str(row)] = response.status_code
        assert b"Nordlund" not in (b"" if response.streaming else response.content)
    let_in = {name: status for name, status in got.items() if status != 403}
    assert let_in == {
        "GET /api/v1/schema/": 200,
        "GET /api/v1/docs/": 200,
        "POST /api/v1/auth/token/": 401,
        "POST /api/v1/auth/token/revoke/": 204,
        "POST /api/v1/studies/": 201,
        "GET /api/v1/uploads/<uuid:study_id>/": 404,  # Somebody else sent it.
    }


def test_a_patient_of_another_site_does_not_exist_for_it(
    device: ServiceAccount, admin_a: User, patient_b: Patient
) -> None:
    api = api_of(device, admin_a)
    for who in ({"mrn": patient_b.mrn}, {"patient": str(patient_b.pk)}, {"mrn": "nobody"}):
        assert api.post(STUDIES, {**who, "images": [xray()]}).status_code == 404
    for who in ({}, {"mrn": patient_b.mrn, "patient": str(patient_b.pk)}, {"mrn": "x" * 65}):
        assert api.post(STUDIES, {**who, "images": [xray()]}).status_code == 400
    assert not Study.objects.exists()


def test_it_is_not_told_whom_the_record_names_and_cannot_confirm_it(
    device: ServiceAccount, admin_a: User, patient_a: Patient
) -> None:
    stranger = SimpleUploadedFile("a.dcm", phantom_dicom(seed=5, size=(256, 256)))
    data = {"mrn": patient_a.mrn, "images": [stranger], "confirm_patient": "true"}
    answer = api_of(device, admin_a).post(STUDIES, data)
    assert (answer.status_code, answer.json()["code"]) == (422, "patient_mismatch")
    assert "Nordlund" not in answer.content.decode()
    assert "differences" not in answer.content.decode()


def test_deactivated_its_very_next_request_is_refused_and_old_tokens_never_come_back(
    client_of: ClientOf, device: ServiceAccount, admin_a: User
) -> None:
    api = api_of(device, admin_a)
    assert api.get("/api/v1/schema/").status_code == 200
    browser = client_of(admin_a)
    browser.post(f"/site/devices/{device.pk}/deactivate/")
    assert api.get("/api/v1/schema/").status_code == 401
    answer = browser.post(f"/site/devices/{device.pk}/token/", {"name": "Room", "days": "30"})
    assert answer.status_code == 409
    browser.post(f"/site/devices/{device.pk}/reactivate/")
    assert api.get("/api/v1/schema/").status_code == 401
    assert api_of(device, admin_a).get("/api/v1/schema/").status_code == 200
    acts = Event.objects.filter(action__startswith="device.").order_by("id")
    assert [e.action for e in acts] == ["device.create", "device.deactivate", "device.reactivate"]


def test_it_signs_in_nowhere_even_with_a_password(
    client: Client, device: ServiceAccount, client_of: ClientOf, admin_a: User
) -> None:
    device.user.set_password(PASSWORD)
    device.user.save()
    name = device.user.username
    client.post("/login/", {"username": name, "password": PASSWORD})
    assert client.get("/account/").status_code == 302
    body = {"username": name, "password": PASSWORD}
    assert client.post("/api/v1/auth/token/", body).status_code == 401


def test_it_is_no_person_who_could_be_given_a_role_or_a_password(
    client_of: ClientOf, device: ServiceAccount, admin_a: User, clinician_a: User
) -> None:
    browser = client_of(admin_a)
    assert "X-ray room 2" not in browser.get("/users/").content.decode()
    membership = Membership.objects.get(user=device.user)
    for act in ("role", "deactivate", "reset-password"):
        answer = browser.post(f"/users/{membership.pk}/{act}/", {"role": "admin"})
        assert answer.status_code == 404
    clinician = Membership.objects.get(user=clinician_a)
    browser.post(f"/users/{clinician.pk}/role/", {"role": Role.DEVICE})
    clinician.refresh_from_db()
    assert clinician.role == Role.CLINICIAN
    browser.post("/users/invite/", {"email": "x@example.org", "role": Role.DEVICE})
    assert not Invitation.objects.exists()


def test_a_name_is_given_once_at_a_site(
    client_of: ClientOf, device: ServiceAccount, admin_a: User, admin_b: User
) -> None:
    again = client_of(admin_a).post("/site/devices/", {"name": "x-ray ROOM 2"})
    assert "a device of this name already" in again.content.decode()
    assert client_of(admin_b).post("/site/devices/", {"name": "X-ray room 2"}).status_code == 302


def test_an_upload_token_of_a_person_is_not_told_either(
    clinician_a: User, patient_a: Patient
) -> None:
    stranger = SimpleUploadedFile("a.dcm", phantom_dicom(seed=5, size=(256, 256)))
    data: dict[str, Any] = {"patient": str(patient_a.pk), "images": [stranger]}
    secret = issue_token(user=clinician_a, scopes=["upload"])
    answer = Client(headers={"Authorization": f"Token {secret}"}).post(STUDIES, data)
    assert answer.json()["code"] == "patient_mismatch"
    assert "differences" not in answer.content.decode()
