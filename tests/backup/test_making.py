"""Making backups: what is linked, kept, left out, and who is told when it goes wrong."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from screening.accounts.models import User
from screening.audit.models import Event
from screening.backup import database, making
from screening.backup.making import backups_in, make_backup
from screening.backup.manifest import is_whole
from screening.backup.models import Run
from screening.backup.tasks import start_backup
from screening.core.recipient import SealingKey
from screening.patients.models import Patient
from screening.studies import pixels, storage
from screening.studies.models import Image
from tests.radiographs import png, receive

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def image(clinician_a: User, patient_a: Patient) -> Image:
    return receive(clinician_a, patient_a)


@pytest.fixture
def to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where backups go; each gets a second of its own without waiting for one."""
    names = iter(f"thorascreen-20260101T0000{n:02d}Z" for n in range(60))

    class Moment:
        @classmethod
        def now(cls, zone: Any) -> Any:
            real = timezone.now()

            class At(type(real)):  # type: ignore[misc]
                def strftime(self, form: str) -> str:
                    name = next(names) if form == making.NAME else super().strftime(form)
                    return str(name)

            return At.fromtimestamp(real.timestamp(), zone)

    monkeypatch.setattr(making, "datetime", Moment)
    return tmp_path / "backups"


def test_what_an_earlier_backup_holds_is_linked_and_only_the_rest_is_new(
    image: Image, clinician_a: User, patient_a: Patient, to: Path, sealing_key: SealingKey
) -> None:
    first = make_backup(to=to, key=sealing_key)
    second_image = receive(clinician_a, patient_a, png(2))
    second = make_backup(to=to, key=sealing_key)
    path = f"files/{image.original}"
    assert (first.folder / path).samefile(second.folder / path)
    new = sum(part.size for part in second.manifest.files) - sum(
        part.size for part in first.manifest.files
    )
    assert second.new_bytes == second.manifest.database.size + new
    assert f"files/{second_image.original}" in {part.path for part in second.manifest.files}
    shutil.rmtree(first.folder)
    assert all(is_whole(second.folder, part) for part in second.manifest.parts())


def test_a_part_that_rotted_is_not_linked_on(
    image: Image, to: Path, sealing_key: SealingKey
) -> None:
    first = make_backup(to=to, key=sealing_key)
    (first.folder / "files" / image.original).write_bytes(b"rot")
    second = make_backup(to=to, key=sealing_key)
    assert all(is_whole(second.folder, part) for part in second.manifest.parts())


def test_the_newest_are_kept_and_a_strangers_are_left_alone(
    image: Image, to: Path, sealing_key: SealingKey
) -> None:
    other = SealingKey(sealing_key.public, b"o" * 32)
    strangers = make_backup(to=to, key=other).folder
    made = [make_backup(to=to, key=sealing_key, keep=2) for _ in range(4)]
    assert backups_in(to) == [strangers, made[2].folder, made[3].folder]
    assert made[3].removed == [made[1].folder.name]


def test_a_backup_that_breaks_off_leaves_no_folder(
    image: Image, to: Path, sealing_key: SealingKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making._Files, "take", full)
    with pytest.raises(database.BackupFailed) as failure:
        make_backup(to=to, key=sealing_key)
    assert failure.value.code == "backup_not_written"
    assert [path.name for path in to.iterdir()] == [".lock"]


def test_a_file_whose_row_was_erased_meanwhile_is_no_loss(
    image: Image, to: Path, sealing_key: SealingKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = making._Files._copy

    def erased_meanwhile(self: Any, path: str, file: Any) -> Any:
        if file.name == image.original:
            default_storage.delete(image.original)
            Image.objects.filter(pk=image.pk).update(original="images/00/elsewhere.png")
        return copy(self, path, file)

    monkeypatch.setattr(making._Files, "_copy", erased_meanwhile)
    made = make_backup(to=to, key=sealing_key)
    assert made.manifest.erased == [image.original]
    assert made.manifest.unreadable == []


def test_lost_and_changed_files_are_named_and_administrators_are_told(
    image: Image, admin_a: User, to: Path, sealing_file: Path, settings: Any
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    User.objects.filter(pk=admin_a.pk).update(email="adam@example.org")
    Path(default_storage.path(image.display)).unlink()
    Path(default_storage.path(image.original)).write_bytes(b"another picture")
    with pytest.raises(CommandError, match="backup_files_lost: 2"):
        call_command("backup", "--to", to, "--key", sealing_file)
    run = Run.objects.get()
    assert (run.code, run.lost_files, run.file_count) == ("backup_files_lost", 2, 2)
    assert Event.objects.get(action="backup.create").outcome == "failed"
    [letter] = mail.outbox
    assert letter.to == ["adam@example.org"]
    assert "backup_files_lost" in letter.body
    assert "Nordlund" not in letter.body


def test_what_can_be_made_again_is_left_out(
    image: Image, to: Path, sealing_key: SealingKey
) -> None:
    storage.put(pixels.cached_name(image.pk), b"values")
    storage.put("images/ab/nobodys.png", b"an upload that never came to a row")
    made = make_backup(to=to, key=sealing_key)
    assert len(made.manifest.files) == 3


def test_every_folder_of_stored_files_says_what_a_backup_takes() -> None:
    assert set(storage._folders) - set(storage._files) == {pixels.PIXELS}


def test_no_settings_no_backup(db: None) -> None:
    with pytest.raises(CommandError, match="backup_not_set_up"):
        call_command("backup")


def test_the_clock_starts_a_process_of_its_own(
    settings: Any, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: started.append(command))
    start_backup()
    assert started == []
    settings.BACKUP_TO = str(to)
    start_backup()
    assert started[0][1:] == ["-m", "django", "backup"]


def test_the_health_page_tells_of_backups_that_fail_or_do_not_come(
    settings: Any, to: Path, sealing_file: Path, image: Image
) -> None:
    def told() -> list[str]:
        answer = Client().get("/readyz")
        assert answer.status_code == 200
        return [one["code"] for one in answer.json()["problems"] if one["check"] == "backup"]

    assert told() == []
    settings.BACKUP_TO, settings.BACKUP_SEALING_KEY = str(to), str(sealing_file)
    assert told() == ["backup_never_made"]
    call_command("backup")
    assert told() == []
    settings.BACKUP_SEALING_KEY = str(sealing_file.with_name("gone.key"))
    with pytest.raises(CommandError, match="backup_key_unusable"):
        call_command("backup")
    assert told() == ["backup_key_unusable"]
    Run.objects.exclude(code="").delete()
    Run.objects.update(finished_at=timezone.now() - timedelta(hours=40))
    assert told() == ["backup_overdue"]
