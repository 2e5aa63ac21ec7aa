"""Studies over the API, with the released model behind it."""

from __future__ import annotations

import base64
import io
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.http import FileResponse
from django.test import Client
from PIL import Image as Picture

from screening.accounts.models import User
from screening.accounts.services import members
from screening.accounts.services.tokens import issue_token
from screening.audit.models import Event
from screening.inference import services as inference
from screening.inference.models import Job, Result
from screening.patients.models import Patient
from screening.studies import storage
from screening.studies.models import Image, Study
from tests import radiographs
from tests.radiographs import receive, stored_files, upload_of

pytestmark = pytest.mark.django_db
MEGABYTE = 1024 * 1024


class ApiClient:
    """A program that holds a person's token."""

    def __init__(self, user: User | None) -> None:
        headers = {"Authorization": f"Token {issue_token(user=user)}"} if user else {}
        self._client = Client(headers=headers)

    def get(self, url: str, **query: Any) -> Any:
        return self._client.get(url, query)

    def send(self, patient: Patient | str, *files: tuple[str, bytes], **fields: str) -> Any:
        key = patient if isinstance(patient, str) else str(patient.pk)
        images = [upload_of(data, name) for name, data in files]
        return self._client.post("/api/v1/studies/", {"patient": key, "images": images, **fields})

    def post(self, url: str, body: Any, **extra: Any) -> Any:
        return self._client.post(url, body, **extra)


@pytest.fixture
def alice(clinician_a: User) -> ApiClient:
    return ApiClient(clinician_a)


@pytest.fixture
def bob(clinician_b: User) -> ApiClient:
    return ApiClient(clinician_b)


def work_off() -> None:
    """Let every queued job be done."""
    for job in Job.objects.filter(status="queued"):
        inference.run_job(job.pk)


# --- Sending -----------------------------------------------------------------------------------


def test_a_study_goes_from_file_to_result(alice: ApiClient, patient_a: Patient) -> None:
    response = alice.send(patient_a, ("chest.dcm", radiographs.dicom()))
    assert response.status_code == 201
    answer = response.json()
    image = Image.objects.get()
    assert answer == {
        "id": str(image.study_id),
        "status": "queued",
        "images": [{"id": str(image.pk), "name": "chest.dcm", "status": "queued"}],
    }

    waiting = alice.get(f"/api/v1/studies/{answer['id']}/").json()
    assert (waiting["status"], waiting["patient"]) == ("queued", str(patient_a.pk))
    assert waiting["images"][0]["label"] is None
    assert waiting["images"][0]["heatmap"] is None

    work_off()
    study = alice.get(f"/api/v1/studies/{answer['id']}/").json()
    assert study["status"] == "done"
    (found,) = study["images"]
    result = Result.objects.get()
    assert found["status"] == "done"
    assert found["label"] == result.label
    assert found["probabilities"] == result.probabilities
    assert set(found["probabilities"]) == {"covid", "pneumonia", "normal"}
    assert found["model"] == {
        "name": result.model_version.name,
        "version": result.model_version.version,
    }
    assert found["milliseconds"] == result.milliseconds
    assert found["evidence"] == result.evidence
    assert found["evidence"]["shortcut"]["verdict"] in {"reliable", "unreliable", "unknown"}
    assert (found["code"], found["message"]) == (None, None)


def test_the_pictures_are_fetched_with_the_same_token(
    alice: ApiClient, bob: ApiClient, patient_a: Patient
) -> None:
    study_id = alice.send(patient_a, ("chest.png", radiographs.png())).json()["id"]
    work_off()
    (image,) = alice.get(f"/api/v1/studies/{study_id}/").json()["images"]
    kinds = {"heatmap": ("PNG", "P"), "display": ("JPEG", "L"), "thumbnail": ("JPEG", "L")}
    for name, kind in kinds.items():
        url = image[name]
        assert url.startswith("http://testserver/api/v1/images/"), "an absolute address"
        response = alice.get(url)
        assert isinstance(response, FileResponse)
        assert response["Cache-Control"] == "no-store, private"
        picture = Picture.open(io.BytesIO(b"".join(response.streaming_content)))  # type: ignore[arg-type]
        assert (picture.format, picture.mode) == kind
        assert bob.get(url).status_code == 404
        assert ApiClient(None).get(url).status_code == 401
    original = alice.get(f"/api/v1/images/{image['id']}/original/")
    assert b"".join(original.streaming_content) == radiographs.png()


def test_errors_of_picture_addresses_are_json(alice: ApiClient) -> None:
    response = alice.get(f"/api/v1/images/{uuid.uuid4()}/heatmap/")
    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"
    assert response.json()["code"] == "not_found"


def test_refused_files_do_not_hold_up_the_others(alice: ApiClient, patient_a: Patient) -> None:
    response = alice.send(
        patient_a,
        ("one.png", radiographs.png()),
        ("letter.txt", b"Dear colleague"),
        ("two.jpg", radiographs.jpeg()),
        ("empty.png", b""),
    )
    assert response.status_code == 201
    by_name = {image["name"]: image for image in response.json()["images"]}
    assert {name: image.get("code") for name, image in by_name.items()} == {
        "one.png": None,
        "letter.txt": "unsupported_type",
        "two.jpg": None,
        "empty.png": "empty_file",
    }
    assert by_name["letter.txt"]["message"].endswith(".")
    assert set(by_name["one.png"]) == {"id", "name", "status"}
    assert Image.objects.count() == 2


def test_nothing_accepted_is_a_422_that_leaves_nothing(
    alice: ApiClient, patient_a: Patient, media_root: Path
) -> None:
    response = alice.send(patient_a, ("a.png", b"text"), ("b.png", b""))
    answer = response.json()
    assert response.status_code == 422
    assert answer["code"] == "unsupported_type"
    assert answer["message"] == answer["images"][0]["message"]
    assert [image["code"] for image in answer["images"]] == ["unsupported_type", "empty_file"]
    assert not Study.objects.exists()
    assert stored_files(media_root) == []


def test_a_file_over_the_limit_is_refused_and_the_other_goes_on(
    alice: ApiClient, patient_a: Patient
) -> None:
    response = alice.send(
        patient_a, ("huge.dcm", b"\0" * (25 * MEGABYTE + 1)), ("one.png", radiographs.png())
    )
    assert response.status_code == 201
    codes = {image["name"]: image.get("code") for image in response.json()["images"]}
    assert codes == {"huge.dcm": "too_large", "one.png": None}


def test_the_same_file_twice_in_one_request_is_one_image(
    alice: ApiClient, patient_a: Patient
) -> None:
    one, two = alice.send(
        patient_a, ("one.png", radiographs.png()), ("two.png", radiographs.png())
    ).json()["images"]
    assert (one["id"], two["code"]) == (two["id"], "duplicate")
    assert Image.objects.count() == 1


def test_sending_it_all_again_adds_nothing(alice: ApiClient, patient_a: Patient) -> None:
    """A program that heard no answer may repeat the request under the same key."""
    key = str(uuid.uuid4())
    first, again = (
        alice.send(patient_a, ("one.png", radiographs.png()), id=key).json() for _ in range(2)
    )
    assert first["id"] == again["id"] == key
    assert first["images"][0]["id"] == again["images"][0]["id"]
    assert (Study.objects.count(), Image.objects.count(), Job.objects.count()) == (1, 1, 1)


@pytest.mark.parametrize("key", ["", "no-uuid", "1", "'; DROP TABLE studies_study; --"])
def test_a_malformed_patient_is_invalid(key: str, alice: ApiClient) -> None:
    response = alice.send(key, ("one.png", radiographs.png()))
    assert response.status_code == 400
    assert response.json()["code"] == "invalid"
    assert "patient" in response.json()["fields"]


def test_a_patient_of_another_site_is_not_found(
    alice: ApiClient, patient_b: Patient, media_root: Path
) -> None:
    for key in (str(patient_b.pk), str(uuid.uuid4())):
        response = alice.send(key, ("one.png", radiographs.png()))
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert stored_files(media_root) == []


def test_no_file_and_no_form_are_said_so(alice: ApiClient, patient_a: Patient) -> None:
    assert alice.send(patient_a).json()["code"] == "no_file"
    response = alice.post(
        "/api/v1/studies/", json.dumps({"patient": "x"}), content_type="application/json"
    )
    assert (response.status_code, set(response.json())) == (415, {"code", "message"})
    response = alice.post("/api/v1/studies/", b"no boundary", content_type="multipart/form-data")
    assert (response.status_code, response.json()["code"]) == (400, "malformed")


def test_more_files_than_any_study_holds_are_refused_at_once(
    alice: ApiClient, patient_a: Patient
) -> None:
    response = alice.send(patient_a, *[(f"{number}.png", b"x") for number in range(201)])
    assert (response.status_code, response.json()["code"]) == (422, "too_many_files")


# --- Asking ------------------------------------------------------------------------------------


def test_a_failed_image_says_why(alice: ApiClient, patient_a: Patient) -> None:
    study_id = alice.send(patient_a, ("one.png", radiographs.png())).json()["id"]
    storage.discard(Image.objects.get().original)
    work_off()
    study = alice.get(f"/api/v1/studies/{study_id}/").json()
    (image,) = study["images"]
    assert (study["status"], image["status"], image["code"]) == (
        "failed",
        "failed",
        "image_missing",
    )
    assert image["message"].endswith(".")
    assert image["label"] is None


def test_a_study_of_another_site_is_not_found(
    alice: ApiClient, clinician_b: User, patient_b: Patient
) -> None:
    theirs = receive(clinician_b, patient_b)
    for key in (theirs.study_id, uuid.uuid4()):
        response = alice.get(f"/api/v1/studies/{key}/")
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_the_list_holds_the_own_site_newest_first(
    alice: ApiClient,
    bob: ApiClient,
    clinician_a: User,
    clinician_b: User,
    patient_a: Patient,
    patient_b: Patient,
) -> None:
    mine = [str(receive(clinician_a, patient_a).study_id) for _ in range(3)]
    theirs = [str(receive(clinician_b, patient_b).study_id)]
    for client, expected in ((alice, mine[::-1]), (bob, theirs)):
        answer = client.get("/api/v1/studies/").json()
        assert [study["id"] for study in answer["results"]] == expected
        assert (answer["next"], answer["previous"]) == (None, None)


def test_the_list_can_be_narrowed(
    alice: ApiClient, clinician_a: User, patient_a: Patient, patient_b: Patient
) -> None:
    done = receive(clinician_a, patient_a, radiographs.png(1))
    inference.run_job(Job.objects.get(image=done).pk)
    neighbour = Patient.objects.create(site=patient_a.site, mrn="N-2", family_name="Other")
    queued = receive(clinician_a, neighbour, radiographs.png(2))
    label = Result.objects.get().label
    other_label = "normal" if label != "normal" else "covid"

    def ids(**query: str) -> list[str]:
        answer = alice.get("/api/v1/studies/", **query).json()
        return [study["id"] for study in answer["results"]]

    assert ids(status="done") == [str(done.study_id)]
    assert ids(status="queued") == [str(queued.study_id)]
    assert ids(status="failed") == []
    assert ids(label=label) == [str(done.study_id)]
    assert ids(label=other_label) == []
    assert ids(patient=str(neighbour.pk)) == [str(queued.study_id)]
    assert ids(patient=str(patient_b.pk)) == []
    assert ids(patient=str(patient_a.pk), status="done", label=label) == [str(done.study_id)]


@pytest.mark.parametrize("query", [{"status": "finished"}, {"label": "flu"}, {"patient": "7"}])
def test_a_filter_that_makes_no_sense_is_an_error(query: dict[str, str], alice: ApiClient) -> None:
    response = alice.get("/api/v1/studies/", **query)
    assert (response.status_code, response.json()["code"]) == (400, "invalid")


def test_pages_follow_each_other_without_gap_or_repeat(
    alice: ApiClient, clinician_a: User, patient_a: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screening.record.api.StudyPagination.page_size", 3)
    sent = [str(receive(clinician_a, patient_a).study_id) for _ in range(7)]
    seen: list[str] = []
    url = "/api/v1/studies/"
    while url:
        page = alice.get(url).json()
        seen += [study["id"] for study in page["results"]]
        url = page["next"]
    assert seen == sent[::-1]


def test_the_list_takes_a_fixed_number_of_queries(
    alice: ApiClient, clinician_a: User, patient_a: Patient, django_assert_max_num_queries: Any
) -> None:
    for seed in range(1, 9):
        receive(clinician_a, patient_a, radiographs.png(seed))
    alice.get("/api/v1/studies/")  # the token's use is noted once a minute
    # One of them is the person's memberships: what PostgreSQL is told, and the audit asks.
    with django_assert_max_num_queries(10):
        assert len(alice.get("/api/v1/studies/").json()["results"]) == 8


def test_the_schema_lists_the_fields_that_are_sent(
    alice: ApiClient, patient_a: Patient, client_of: Any, clinician_a: User
) -> None:
    schema = client_of(clinician_a).get(
        "/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}
    )
    components = json.loads(schema.content)["components"]["schemas"]
    study_id = alice.send(patient_a, ("one.png", radiographs.png())).json()["id"]
    work_off()
    study = alice.get(f"/api/v1/studies/{study_id}/").json()
    assert set(study) == set(components["Study"]["properties"])
    assert set(study["images"][0]) == set(components["Image"]["properties"])


# --- Who and what is noted ---------------------------------------------------------------------


def test_without_a_good_token_there_is_nothing(
    clinician_a: User, admin_a: User, patient_a: Patient
) -> None:
    image = receive(clinician_a, patient_a)
    leaver = ApiClient(clinician_a)
    members.deactivate_member(actor=admin_a, membership=clinician_a.memberships.get())
    for client in (ApiClient(None), leaver):
        for url in (
            "/api/v1/studies/",
            f"/api/v1/studies/{image.study_id}/",
            f"/api/v1/images/{image.pk}/display/",
        ):
            response = client.get(url)
            assert (response.status_code, set(response.json())) == (401, {"code", "message"})
        assert client.send(patient_a, ("one.png", radiographs.png(2))).status_code == 401
    assert Image.objects.get() == image


def test_reads_are_in_the_audit(alice: ApiClient, clinician_a: User, patient_a: Patient) -> None:
    image = receive(clinician_a, patient_a)
    alice.get(f"/api/v1/studies/{image.study_id}/")
    assert not Event.objects.filter(action="study.view").exists(), "there is nothing to see yet"
    work_off()
    alice.get(f"/api/v1/studies/{image.study_id}/")
    alice.get("/api/v1/studies/")
    event = Event.objects.get(action="study.view")
    assert (event.actor_id, event.object_id) == (clinician_a.pk, str(image.study_id))
    assert event.site_id == patient_a.site_id
    assert Event.objects.get(action="study.list").actor_id == clinician_a.pk


@pytest.mark.parametrize(
    "position", ["p=nonsense", "p=2026-99-99", "p=0001-01-01T00:00:00%2B14:00", "p=%00", "o=-x"]
)
def test_a_cursor_that_leads_nowhere_is_refused(alice: ApiClient, position: str) -> None:
    cursor = base64.b64encode(position.encode()).decode()
    answer = alice.get("/api/v1/studies/", cursor=cursor)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")


def test_the_list_goes_on_where_its_cursor_says(
    alice: ApiClient, clinician_a: User, patient_a: Patient
) -> None:
    for _ in range(51):
        Study.objects.create(site=patient_a.site, patient=patient_a, uploaded_by=clinician_a)
    first = alice.get("/api/v1/studies/").json()
    rest = alice.get(first["next"]).json()
    assert (len(first["results"]), len(rest["results"])) == (50, 1)
    assert alice.get(rest["previous"]).json()["results"] == first["results"]
