"""The drill: a portal at work is backed up, and comes back on an empty machine."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from screening.accounts.models import User
from screening.accounts.services.tokens import issue_token
from screening.audit.models import Event
from screening.inference.models import Job, Label, Result
from screening.patients.models import Patient
from screening.report.services import issue_report
from screening.studies import storage
from screening.studies.models import Image, Status, Study
from tests.backup.kit import Machine, rows_of
from tests.personas import PASSWORD
from tests.radiographs import dicom, png, receive
from tests.record import rows
from tests.report.conftest import address, sign

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.services,
    pytest.mark.timeout(400),  # Half a dozen processes one after the other, on a busy machine too.
]


def digest(name: str) -> str:
    return hashlib.sha256(storage.read(name)).hexdigest()


@pytest.fixture
def work(
    clinician_a: User, clinician_b: User, patient_a: Patient, patient_b: Patient, settings: Any
) -> Study:
    """Two sites with studies, a result, a reading, a report, a job at work; plain and encrypted."""
    settings.FILE_ENCRYPTION = "off"
    receive(clinician_b, patient_b, dicom(5))
    settings.FILE_ENCRYPTION = "on"
    image = receive(clinician_a, patient_a, png(3))
    result = rows.finish(image, Label.PNEUMONIA, carried=rows.evidence())
    Result.objects.filter(pk=result.pk).update(
        receipt={"heatmap_sha256": digest(result.heatmap), "input_sha256": image.sha256}
    )
    study = Study.objects.select_related("patient", "site").get(pk=image.study_id)
    sign(clinician_a, study)
    issue_report(actor=clinician_a, study=study, build_url=address)
    at_work = receive(clinician_a, patient_a, png(4))
    Job.objects.filter(image=at_work).update(
        status=Status.RUNNING,
        attempts=1,
        worker="elsewhere:1:2",
        lease_expires_at=timezone.now() - timedelta(minutes=5),
    )
    return study


class Uploader(threading.Thread):
    """Somebody who goes on working while the backup is made."""

    def __init__(self, actor: User, patient: Patient) -> None:
        super().__init__()
        self.actor, self.patient = actor, patient
        self.sent: list[Image] = []
        self.failed: list[BaseException] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        number = 100
        try:
            while not self.stopped.is_set():
                number += 1
                self.sent.append(receive(self.actor, self.patient, png(number, 220)))
        except BaseException as error:
            self.failed.append(error)
        finally:
            connection.close()


def test_everything_comes_back_although_the_portal_was_at_work(
    keys: Path,
    work: Study,
    clinician_a: User,
    patient_a: Patient,
    tmp_path: Path,
    sealing_file: Path,
    opening_file: Path,
    machine: Machine,
    broker: redis.Redis,
) -> None:
    token = issue_token(user=clinician_a)
    before = rows_of("default")
    backups = tmp_path / "backups"
    uploader = Uploader(clinician_a, patient_a)
    uploader.start()
    try:
        while not uploader.sent and uploader.is_alive():
            time.sleep(0.01)
        said = StringIO()
        call_command("backup", "--to", backups, "--key", sealing_file, stdout=said)
    finally:
        uploader.stopped.set()
        uploader.join()
    assert not uploader.failed
    after = rows_of("default")
    [folder] = [path for path in backups.iterdir() if not path.name.startswith(".")]
    assert len(after["studies_image"]) > len(before["studies_image"])
    secret = (b"DICM", b"%PDF", b"Nordlund", b"JFIF", b"IHDR")
    for path in folder.rglob("*"):
        if path.is_file():
            assert not any(word in path.read_bytes() for word in secret)

    # The first try is cut off: nobody can sign in there, and it is simply begun again.
    cut = machine.start("manage.py", "restore", str(folder), "--key", str(opening_file))
    assert cut.stdout is not None
    for line in cut.stdout:
        if line.startswith("Laying down"):
            break
    os.kill(cut.pid, signal.SIGKILL)
    cut.communicate()
    with machine.rows() as found:
        assert not found
    assert (machine.media / storage.UNFINISHED_RESTORE).exists()
    code, words = machine.manage("restore", str(folder), "--key", str(opening_file))
    assert code == 0, words
    assert not (machine.media / storage.UNFINISHED_RESTORE).exists()

    # Every row of before is there, and none that was not written then.
    grew = {"audit_event", "audit_link"}
    assert "Verifying the audit." in words
    with machine.rows() as found:
        found.pop("studies_uploadcount")  # One row a person, counted up by every upload.
        for table, there in found.items():
            if not table.startswith("audit_") or table in grew:
                assert before[table] <= there, table
            if not table.startswith(("audit_", "django_")):
                assert there <= after[table], table
        images = len(found["studies_image"])
    assert images >= len(before["studies_image"])
    stored = [path for path in machine.media.rglob("*.*") if "keys" not in path.parts]
    assert all(path.read_bytes().startswith(b"THORSEAL") for path in stored if path.is_file())

    # People sign in, see what they saw, and lost work is taken up again without any of Redis.
    broker.flushall()
    image = work.images.get()
    report = work.reports.get()
    wanted = {
        f"/api/v1/images/{image.pk}/original/": digest(image.original),
        f"/api/v1/images/{image.pk}/display/": digest(image.display),
        f"/api/v1/images/{image.pk}/heatmap/": digest(image.results.get().heatmap),
        f"/api/v1/reports/{report.pk}/pdf/": report.sha256,
    }
    seen = machine.look(token=token, addresses=list(wanted), username="alice", password=PASSWORD)
    assert seen["bodies"] == {where: [200, found] for where, found in wanted.items()}
    assert (seen["sign_in"], seen["home"]) == (302, 200)
    assert seen["ready"]["file_keys"] == seen["ready"]["storage"] == "ok"
    assert (seen["recovered"], seen["running"]) == (1, 0)
    assert seen["resent"] >= images - 2

    # Whoever works there is not overrun.
    code, words = machine.manage("restore", str(folder), "--key", str(opening_file))
    assert code != 0
    assert "not_empty" in words


def test_a_quiet_portal_comes_back_row_for_row(
    keys: Path,
    work: Study,
    tmp_path: Path,
    sealing_file: Path,
    opening_file: Path,
    machine: Machine,
) -> None:
    before = rows_of("default")
    call_command("backup", "--to", tmp_path / "b", "--key", sealing_file, stdout=StringIO())
    [folder] = [path for path in (tmp_path / "b").iterdir() if not path.name.startswith(".")]
    code, words = machine.manage("restore", str(folder), "--key", str(opening_file))
    assert code == 0, words
    with machine.rows() as found:
        assert found.keys() == before.keys()
        for table, there in found.items():
            if not table.startswith("audit_"):
                assert there == before[table], table
        # The restore and the verification of the audit at its end.
        assert len(found["audit_event"]) == len(before["audit_event"]) + 2
        assert before["audit_event"] < found["audit_event"]
    restored = {
        str(path.relative_to(machine.media))
        for path in machine.media.rglob("*.*")
        if path.is_file()
    }
    assert {file.name for file in storage.kept_files("default")} <= restored
    assert Event.objects.filter(action="backup.create").count() == 1

    # Told to, it puts aside what is there, and the same comes back.
    code, words = machine.manage("restore", str(folder), "--key", str(opening_file), "--replace")
    assert code == 0, words
    with machine.rows() as found:
        assert found["studies_image"] == before["studies_image"]
    [aside] = machine.media.glob(".before-restore-*")
    assert (
        len([path for path in aside.rglob("*.*") if "keys" not in path.parts]) == len(restored) - 1
    )


def test_who_was_erased_after_the_backup_does_not_come_back(
    keys: Path,
    work: Study,
    tmp_path: Path,
    sealing_file: Path,
    opening_file: Path,
    machine: Machine,
) -> None:
    call_command("backup", "--to", tmp_path / "b", "--key", sealing_file, stdout=StringIO())
    [folder] = [path for path in (tmp_path / "b").iterdir() if not path.name.startswith(".")]
    erasures = tmp_path / "erasures.jsonl"
    erasures.write_text(json.dumps({"patient": str(work.patient_id)}) + "\n")
    asked = ("restore", str(folder), "--key", str(opening_file), "--erasures")
    code, words = machine.manage(*asked, str(tmp_path / "nowhere"))
    assert code != 0
    assert "no list of erasures" in words
    code, words = machine.manage(*asked, str(erasures))
    assert code == 0, words
    assert "Erased again: 1 patients." in words
    with machine.rows() as found:
        assert len(found["patients_erasurecertificate"]) == 1
        for table in ("studies_study", "studies_image", "reading_reading", "report_report"):
            assert len(found[table]) < len(rows_of("default")[table]), table
    image = Image.objects.filter(study=work).values_list("original", flat=True)
    assert not any((machine.media / name).exists() for name in image)
