"""Private files: whole or not there, and swept when nobody points at them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from screening.accounts.models import User
from screening.audit.models import Event
from screening.patients.models import Patient
from screening.studies import services, storage
from tests.radiographs import receive, stored_files


def age(path: Path, hours: float) -> None:
    moment = time.time() - hours * 3600
    os.utime(path, (moment, moment))


def test_what_was_put_can_be_read(media_root: Path) -> None:
    name = storage.put("images/ab/one.png", b"bytes")
    assert storage.read(name) == b"bytes"
    assert stored_files(media_root) == ["images/ab/one.png"]


def test_a_crash_while_writing_leaves_no_name(media_root: Path) -> None:
    class Torn(ContentFile):
        def chunks(self, chunk_size: int | None = None):  # type: ignore[no-untyped-def]
            yield b"first half"
            raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        default_storage.save("images/ab/one.png", Torn(b""))
    assert stored_files(media_root) == []


def test_bytes_are_on_the_disk_before_the_name_is(
    media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flush the file, rename it, flush the folder: in this order."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(descriptor: int) -> None:
        target = os.readlink(f"/proc/self/fd/{descriptor}")
        steps.append("flush folder" if os.path.isdir(target) else "flush file")
        fsync(descriptor)

    def noted_rename(self: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(self, target)

    (media_root / "images/ab").mkdir(parents=True)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    storage.put("images/ab/one.png", b"bytes")
    assert steps == ["flush file", "rename", "flush folder"]


def test_a_stored_file_is_never_replaced(media_root: Path) -> None:
    first = storage.put("images/ab/one.png", b"first")
    second = storage.put("images/ab/one.png", b"second")
    assert first != second
    assert storage.read(first) == b"first"


def test_removing_what_is_gone_is_no_error(media_root: Path) -> None:
    storage.discard("images/ab/never.png")


@pytest.mark.django_db
def test_the_sweeper_takes_old_files_without_a_row_and_nothing_else(
    clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    image = receive(clinician_a, patient_a)
    kept = {image.original, image.display, image.thumbnail}
    lost = {
        storage.put(storage.new_name("images", uuid4(), ".png"), b"1"),
        storage.put(storage.new_name("images", image.pk, ".old.jpg"), b"2"),
        storage.put(storage.new_name("heatmaps", uuid4(), ".png"), b"3"),
        storage.put("images/ab/.deadbeef.part", b"4"),
    }
    for path in media_root.rglob("*.*"):
        age(path, hours=25)
    young = storage.put(storage.new_name("images", uuid4(), ".png"), b"an upload in flight")

    services.remove_orphans()

    assert set(stored_files(media_root)) == kept | {young}
    event = Event.objects.get(action="storage.sweep")
    assert event.detail == {"checked": len(kept | lost), "removed": len(lost)}


@pytest.mark.django_db
def test_a_clean_store_is_not_worth_a_line(media_root: Path) -> None:
    services.remove_orphans()
    assert not Event.objects.exists()
