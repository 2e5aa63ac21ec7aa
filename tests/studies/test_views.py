"""Uploading through pages, and who gets to see the bytes."""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.http import FileResponse
from django.test import Client
from PIL import Image as Picture

from screening.accounts.models import User
from screening.audit.models import Event
from screening.inference.models import Job
from screening.patients.models import Patient
from screening.studies import gate
from screening.studies.models import Image, Study
from tests import radiographs
from tests.personas import ClientOf
from tests.radiographs import receive, stored_files, upload_of

pytestmark = pytest.mark.django_db
MEGABYTE = 1024 * 1024


def send_one(
    client: Client,
    patient: Patient,
    data: bytes,
    *,
    study_id: uuid.UUID | None = None,
    name: str = "chest.png",
    **extra: Any,
) -> Any:
    url = f"/patients/{patient.pk}/uploads/{study_id or uuid.uuid4()}/"
    return client.post(url, {"image": upload_of(data, name)}, **extra)


def body_of(response: Any) -> bytes:
    assert isinstance(response, FileResponse)
    return b"".join(response.streaming_content)


# --- One file for the page's script ------------------------------------------------------------


def test_a_file_sent_by_the_page_is_accepted(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    study_id = uuid.uuid4()
    response = send_one(client_of(clinician_a), patient_a, radiographs.png(), study_id=study_id)
    assert response.status_code == 201
    image = Image.objects.get()
    assert response.json() == {"id": str(image.pk), "study": str(study_id), "status": "queued"}
    assert (image.study.pk, image.study.patient) == (study_id, patient_a)
    assert Job.objects.get().image == image


def test_a_double_click_is_told_so(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    client, study_id = client_of(clinician_a), uuid.uuid4()
    first = send_one(client, patient_a, radiographs.png(), study_id=study_id).json()
    response = send_one(client, patient_a, radiographs.png(), study_id=study_id)
    again = response.json()
    assert response.status_code == 200
    assert (again["id"], again["code"]) == (first["id"], "duplicate")
    assert again["message"].endswith(".")
    assert Image.objects.count() == 1


def test_a_refused_file_gets_its_reason_and_leaves_nothing(
    client_of: ClientOf, clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    response = send_one(client_of(clinician_a), patient_a, b"a letter", name="letter.png")
    assert response.status_code == 422
    assert set(response.json()) == {"code", "message"}
    assert response.json()["code"] == "unsupported_type"
    assert not Study.objects.exists()
    assert stored_files(media_root) == []


def test_a_file_over_the_limit_is_dropped_while_it_arrives(
    client_of: ClientOf,
    clinician_a: User,
    patient_a: Patient,
    media_root: Path,
    tmp_path: Path,
    settings: Any,
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "temporary")
    (tmp_path / "temporary").mkdir()
    response = send_one(client_of(clinician_a), patient_a, b"\0" * (25 * MEGABYTE + 1))
    assert response.status_code == 413
    assert response.json()["code"] == "too_large"
    assert stored_files(media_root) == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_empty_file_and_no_file_are_different_mistakes(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    client = client_of(clinician_a)
    assert send_one(client, patient_a, b"").json()["code"] == "empty_file"
    url = f"/patients/{patient_a.pk}/uploads/{uuid.uuid4()}/"
    assert client.post(url, {}).json()["code"] == "no_file"
    assert client.post(url, {"image": "text, not a file"}).json()["code"] == "no_file"


@pytest.mark.parametrize(
    "name",
    ["../../../etc/cron.d/x.png", "..\\..\\x.png", "/etc/passwd", "a\0b.png", "x" * 400 + ".png"],
)
def test_a_name_leads_nowhere(
    name: str, client_of: ClientOf, clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    send_one(client_of(clinician_a), patient_a, radiographs.png(), name=name)
    for stored in stored_files(media_root):
        assert stored.startswith("images/")
        assert "passwd" not in stored
    for image in Image.objects.all():
        assert "/" not in image.original_name
        assert "\\" not in image.original_name
    assert not list(media_root.parent.glob("*.png"))


def test_people_of_another_site_do_not_find_the_patient(
    client_of: ClientOf, clinician_b: User, patient_a: Patient
) -> None:
    response = send_one(client_of(clinician_b), patient_a, radiographs.png())
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
    assert not Study.objects.exists()


def test_a_study_of_another_site_is_not_found(
    client_of: ClientOf,
    clinician_a: User,
    clinician_b: User,
    patient_a: Patient,
    patient_b: Patient,
) -> None:
    theirs = receive(clinician_b, patient_b)
    response = send_one(
        client_of(clinician_a), patient_a, radiographs.png(2), study_id=theirs.study_id
    )
    assert response.status_code == 404
    assert Image.objects.get() == theirs


def test_a_study_of_another_patient_is_a_conflict(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    neighbour = Patient.objects.create(site=patient_a.site, mrn="N-2", family_name="Other")
    theirs = receive(clinician_a, neighbour)
    response = send_one(
        client_of(clinician_a), patient_a, radiographs.png(2), study_id=theirs.study_id
    )
    assert (response.status_code, response.json()["code"]) == (409, "study_of_another_patient")


def test_the_upload_wants_a_forgery_token(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    client = client_of(clinician_a, csrf=True)
    assert send_one(client, patient_a, radiographs.png()).status_code == 403
    assert not Image.objects.exists()


# --- The page ----------------------------------------------------------------------------------


def test_the_page_names_the_limits_and_a_fresh_study(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    client = client_of(clinician_a)
    url = f"/patients/{patient_a.pk}/upload/"
    first, second = client.get(url), client.get(url)
    assert first.status_code == 200
    assert "25 MB" in first.content.decode()
    assert first.context["study_id"] != second.context["study_id"]
    assert first.context["limits"]["max_bytes"] == gate.LIMITS.max_bytes
    assert not Study.objects.exists()


def test_without_scripts_the_form_takes_all_files_at_once(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    files = [
        upload_of(radiographs.png(), "one.png"),
        upload_of(b"text", "two.png"),
        upload_of(radiographs.dicom(), "three.dcm"),
    ]
    client = client_of(clinician_a)
    response = client.post(f"/patients/{patient_a.pk}/upload/", {"images": files})
    study = Study.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/studies/{study.pk}/")
    names = set(study.images.values_list("original_name", flat=True))
    assert names == {"one.png", "three.dcm"}
    assert "two.png: This kind of file" in client.get(response["Location"]).content.decode()


def test_without_scripts_a_form_of_refused_files_says_why(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    files = [upload_of(b"", "one.png"), upload_of(b"text", "two.png")]
    response = client_of(clinician_a).post(f"/patients/{patient_a.pk}/upload/", {"images": files})
    assert response.status_code == 422
    page = response.content.decode()
    assert "two.png" in page
    assert "unsupported_type" in page
    assert [refusal.error.code for refusal in response.context["refused"]] == [
        "empty_file",
        "unsupported_type",
    ]
    assert not Study.objects.exists()


# --- Bytes -------------------------------------------------------------------------------------


@pytest.fixture
def image(clinician_a: User, patient_a: Patient) -> Image:
    return receive(clinician_a, patient_a, radiographs.dicom(1), name="Nordlund Nina.dcm")


def test_the_display_is_a_picture_that_no_cache_keeps(
    client_of: ClientOf, clinician_a: User, image: Image
) -> None:
    response = client_of(clinician_a).get(f"/images/{image.pk}/display/")
    assert response.status_code == 200
    assert response["Content-Type"] == "image/jpeg"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "no-store, private"
    assert response["Content-Disposition"] == f'inline; filename="{image.pk}.display.jpg"'
    picture = Picture.open(io.BytesIO(body_of(response)))
    assert (picture.format, picture.size) == ("JPEG", (320, 320))


def test_the_original_is_an_attachment_with_a_name_of_ours(
    client_of: ClientOf, clinician_a: User, image: Image
) -> None:
    response = client_of(clinician_a).get(f"/images/{image.pk}/original/")
    assert response["Content-Type"] == "application/dicom"
    assert response["Content-Disposition"] == f'attachment; filename="{image.pk}.dcm"'
    assert body_of(response) == radiographs.dicom(1)


def test_the_thumbnail_is_small(client_of: ClientOf, clinician_a: User, image: Image) -> None:
    response = client_of(clinician_a).get(f"/images/{image.pk}/thumbnail/")
    assert Picture.open(io.BytesIO(body_of(response))).size == (256, 256)


def test_each_look_at_a_picture_is_one_line_in_the_audit(
    client_of: ClientOf, clinician_a: User, admin_a: User, image: Image
) -> None:
    for person in (clinician_a, admin_a):
        for rendition in ("display", "thumbnail", "original"):
            body_of(client_of(person).get(f"/images/{image.pk}/{rendition}/"))
    looks = Event.objects.filter(action="image.view").order_by("id")
    assert [(e.actor_id, e.object_id, e.site_id, e.detail["rendition"]) for e in looks] == [
        (person.pk, str(image.pk), image.study.site_id, rendition)
        for person in (clinician_a, admin_a)
        for rendition in ("display", "original")
    ]


@pytest.mark.parametrize("rendition", ["display", "thumbnail", "original"])
def test_nobody_else_sees_a_picture(
    rendition: str, client_of: ClientOf, clinician_b: User, deactivated: User, image: Image
) -> None:
    url = f"/images/{image.pk}/{rendition}/"
    assert client_of(clinician_b).get(url).status_code == 404
    for person in (None, deactivated):
        response = client_of(person).get(url)
        assert response.status_code == 302
        assert response["Location"].startswith("/login/")
    assert not Event.objects.filter(action="image.view").exists()


def test_a_file_that_is_gone_is_a_404_not_a_fault(
    client_of: ClientOf, clinician_a: User, image: Image, media_root: Path
) -> None:
    (media_root / image.display).unlink()
    assert client_of(clinician_a).get(f"/images/{image.pk}/display/").status_code == 404


def test_stored_files_have_no_address_of_their_own(
    client_of: ClientOf, clinician_a: User, image: Image
) -> None:
    for url in (f"/{image.original}", f"/media/{image.original}", f"/static/{image.original}"):
        assert client_of(clinician_a).get(url).status_code == 404
