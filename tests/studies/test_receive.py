"""Taking images in: all of it or nothing of it."""

from __future__ import annotations

import hashlib
import threading
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.storage import default_storage
from django.db import DatabaseError, IntegrityError, close_old_connections, connection
from django.http import Http404

from screening.accounts.models import Membership, User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden
from screening.inference.models import Job
from screening.patients.models import Patient
from screening.studies import gate, services, storage
from screening.studies.models import Image, Status, Study
from screening.studies.signals import image_received
from tests import radiographs
from tests.radiographs import receive, stored_files

pytestmark = pytest.mark.django_db


def nothing_is_left(media_root: Path) -> bool:
    return (
        not stored_files(media_root)
        and not Study.objects.exists()
        and not Image.objects.exists()
        and not Job.objects.exists()
        and not Event.objects.exists()
    )


def test_an_image_comes_with_its_study_its_job_its_files_and_its_audit(
    clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    study_id = uuid4()
    data = radiographs.dicom(1)
    image = receive(clinician_a, patient_a, data, study_id=study_id, name="../x/Chest PA.dcm")

    study = Study.objects.get()
    assert (study.pk, study.patient, study.site_id) == (study_id, patient_a, patient_a.site_id)
    assert (study.uploaded_by, study.status) == (clinician_a, Status.QUEUED)
    assert Image.objects.get() == image
    assert image.sha256 == hashlib.sha256(data).hexdigest()
    assert (image.original_name, image.format, image.size_bytes) == (
        "Chest PA.dcm",
        "dicom",
        len(data),
    )
    assert (image.width, image.height, image.bits_stored) == (320, 320, 12)
    assert (image.modality, image.photometric) == ("DX", "MONOCHROME2")
    assert image.sop_instance_uid
    assert Job.objects.get().image == image
    assert storage.read(image.original) == data
    assert stored_files(media_root) == sorted([image.original, image.display, image.thumbnail])
    assert image.original.startswith(f"images/{image.pk.hex[:2]}/{image.pk}")
    events = Event.objects.order_by("id").values_list("action", "actor_id", "site_id")
    assert list(events) == [
        ("study.create", clinician_a.pk, patient_a.site_id),
        ("image.receive", clinician_a.pk, patient_a.site_id),
    ]


def test_a_study_knows_the_day_that_its_film_names(clinician_a: User, patient_a: Patient) -> None:
    film = receive(clinician_a, patient_a, radiographs.dicom(), name="film.dcm")
    picture = receive(clinician_a, patient_a)
    assert film.study.taken_on == date(2020, 1, 1)
    assert picture.study.taken_on is None


def test_stored_files_are_private(clinician_a: User, patient_a: Patient, media_root: Path) -> None:
    receive(clinician_a, patient_a)
    for path in media_root.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_audit_names_nobody(clinician_a: User, patient_a: Patient) -> None:
    receive(clinician_a, patient_a, name="Nordlund Nina 1962.png")
    for event in Event.objects.all():
        words = f"{event.detail}{event.object_id}"
        assert "Nordlund" not in words
        assert patient_a.mrn not in words


@pytest.mark.parametrize(
    "data",
    [b"", b"text", radiographs.png(1)[:5_000], radiographs.png(1, 199)],
    ids=["empty", "text", "half", "small"],
)
def test_a_refusal_leaves_nothing(
    data: bytes, clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    with pytest.raises(gate.UploadRefused):
        receive(clinician_a, patient_a, data)
    assert nothing_is_left(media_root)


def test_a_refusal_leaves_the_study_that_is_there_as_it_was(
    clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    image = receive(clinician_a, patient_a)
    before = (Study.objects.values().get(), stored_files(media_root))
    with pytest.raises(gate.UploadRefused):
        receive(clinician_a, patient_a, b"text", study_id=image.study_id)
    assert (Study.objects.values().get(), stored_files(media_root)) == before


def test_the_same_file_again_adds_nothing(
    clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    study_id = uuid4()
    first = receive(clinician_a, patient_a, study_id=study_id)
    files = stored_files(media_root)
    events = Event.objects.count()

    again = services.receive_image(
        actor=clinician_a,
        patient=patient_a,
        study_id=study_id,
        content=radiographs.png(),
        original_name="another name.png",
    )

    assert again.duplicate
    assert again.image == first
    assert (Image.objects.count(), Job.objects.count()) == (1, 1)
    assert stored_files(media_root) == files
    assert Event.objects.count() == events


def test_the_same_file_in_another_study_is_another_image(
    clinician_a: User, patient_a: Patient
) -> None:
    first, second = receive(clinician_a, patient_a), receive(clinician_a, patient_a)
    assert first.pk != second.pk
    assert first.original != second.original


def test_a_finished_study_that_gets_another_image_runs_again(
    clinician_a: User, patient_a: Patient
) -> None:
    image = receive(clinician_a, patient_a)
    services.set_image_status(image.pk, Status.DONE)
    receive(clinician_a, patient_a, radiographs.png(2), study_id=image.study_id)
    assert Study.objects.get().status == Status.RUNNING


def test_a_study_has_room_for_a_hundred(
    clinician_a: User, patient_a: Patient, media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_IMAGES_PER_STUDY", 2)
    study_id = uuid4()
    for seed in (1, 2):
        receive(clinician_a, patient_a, radiographs.png(seed), study_id=study_id)
    files = stored_files(media_root)
    with pytest.raises(gate.UploadRefused) as caught:
        receive(clinician_a, patient_a, radiographs.png(3), study_id=study_id)
    assert caught.value.code == "too_many_files"
    assert stored_files(media_root) == files


# --- Whose study is it? ------------------------------------------------------------------------


def test_a_study_of_another_site_is_not_there(
    clinician_a: User, clinician_b: User, patient_a: Patient, patient_b: Patient
) -> None:
    theirs = receive(clinician_b, patient_b)
    with pytest.raises(Http404):
        receive(clinician_a, patient_a, study_id=theirs.study_id)
    assert Image.objects.get() == theirs


def test_a_study_of_another_patient_is_a_conflict(clinician_a: User, patient_a: Patient) -> None:
    neighbour = Patient.objects.create(site=patient_a.site, mrn="N-2", family_name="Other")
    image = receive(clinician_a, patient_a)
    with pytest.raises(Conflict) as caught:
        receive(clinician_a, neighbour, study_id=image.study_id)
    assert caught.value.code == "study_of_another_patient"


def test_who_may_not_upload_is_refused_before_the_file_is_looked_at(
    clinician_b: User, patient_a: Patient, deactivated: User, media_root: Path
) -> None:
    for person in (clinician_b, deactivated):
        with pytest.raises(Forbidden):
            receive(person, patient_a, b"")
    assert nothing_is_left(media_root)


# --- Crashes -----------------------------------------------------------------------------------


def test_a_listener_that_fails_undoes_the_storing(
    clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    def explode(**_: Any) -> None:
        raise RuntimeError("no job for you")

    image_received.connect(explode)
    try:
        with pytest.raises(RuntimeError):
            receive(clinician_a, patient_a)
    finally:
        image_received.disconnect(explode)
    assert nothing_is_left(media_root)


def test_a_full_disk_leaves_nothing(
    clinician_a: User, patient_a: Patient, media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = default_storage.save

    def full_at_the_third(name: str, content: Any) -> str:
        if "thumbnail" in name:
            raise OSError(28, "No space left on device")
        return save(name, content)

    monkeypatch.setattr(default_storage, "save", full_at_the_third, raising=False)
    with pytest.raises(gate.UploadRefused) as refusal:
        receive(clinician_a, patient_a)
    assert (refusal.value.code, refusal.value.http_status) == ("storage_unavailable", 503)
    monkeypatch.undo()
    assert nothing_is_left(media_root)


def put_and_fail_at_commit(error: Exception) -> None:
    with storage.FilesOfRows() as files:
        files.put("images/aa/one.png", b"1")
        files.keep()
        raise error


def test_files_stay_when_nobody_knows_whether_the_commit_happened(media_root: Path) -> None:
    """A file too many is swept; a row without its file would be a lost X-ray."""
    with pytest.raises(DatabaseError):
        put_and_fail_at_commit(DatabaseError("the connection broke during the commit"))
    assert stored_files(media_root) == ["images/aa/one.png"]


def test_files_go_when_the_database_refused_the_commit(media_root: Path) -> None:
    with pytest.raises(IntegrityError):
        put_and_fail_at_commit(IntegrityError("a constraint that is checked at the end"))
    assert stored_files(media_root) == []


# --- Many at once ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_double_click_stores_one_image(
    clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    """Eight threads send the same file to the same new study at the same moment."""
    study_id = uuid4()
    data = radiographs.png(5)
    start = threading.Barrier(8)
    answers: list[services.ReceivedImage] = []
    troubles: list[BaseException] = []

    def send() -> None:
        try:
            start.wait(timeout=20)
            answers.append(
                services.receive_image(
                    actor=clinician_a,
                    patient=patient_a,
                    study_id=study_id,
                    content=data,
                    original_name="chest.png",
                )
            )
        except BaseException as trouble:
            troubles.append(trouble)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    close_old_connections()

    assert troubles == []
    assert len({answer.image.pk for answer in answers}) == 1
    assert sum(not answer.duplicate for answer in answers) == 1
    image = Image.objects.get()
    assert Job.objects.get().image == image
    assert stored_files(media_root) == sorted([image.original, image.display, image.thumbnail])


@pytest.mark.django_db(transaction=True)
def test_different_files_at_once_all_come_into_the_one_study(
    clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    study_id = uuid4()
    pictures = [radiographs.png(seed) for seed in range(1, 7)]
    troubles: list[BaseException] = []

    def send(data: bytes) -> None:
        try:
            receive(clinician_a, patient_a, data, study_id=study_id)
        except BaseException as trouble:
            troubles.append(trouble)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(data,)) for data in pictures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert troubles == []
    assert Study.objects.get().images.count() == 6
    assert Event.objects.filter(action="study.create").count() == 1
    assert len(stored_files(media_root)) == 18
    assert Membership.objects.exists()
