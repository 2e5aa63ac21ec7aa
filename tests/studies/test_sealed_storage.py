"""Encrypted at rest: nobody who reads the disk sees an X-ray, and nobody in the portal notices."""

from __future__ import annotations

import os
import threading
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.http import FileResponse

from screening.accounts.models import User
from screening.audit.models import Event
from screening.core.errors import PortalError
from screening.core.keyring import make_key
from screening.core.sealing import MAGIC, KeyMissing, SealBroken
from screening.inference import engine
from screening.inference.failures import TransientFailure
from screening.patients.models import Patient
from screening.studies import gate, pixels, rotation, storage
from screening.studies.models import Image
from screening.studies.sealed_storage import sealed_storage
from screening.studies.serving import Rendition, serve_image
from tests.personas import ClientOf
from tests.radiographs import dicom, png, receive, stored_files

NAME = "images/ab/one.png"


@pytest.fixture
def keys(settings: Any, tmp_path: Path) -> Path:
    """Encryption on, with one key."""
    settings.FILE_ENCRYPTION = "on"
    settings.ENCRYPTION_KEYS_DIR = tmp_path / "keys"
    make_key(tmp_path / "keys")
    return tmp_path / "keys"


def on_disk(name: str) -> bytes:
    return Path(default_storage.path(name)).read_bytes()


def hide(keys: Path) -> dict[Path, bytes]:
    found = {path: path.read_bytes() for path in keys.iterdir()}
    for path in found:
        path.unlink()
    return found


def put_back(found: dict[Path, bytes]) -> None:
    for path, data in found.items():
        path.write_bytes(data)
        path.chmod(0o600)


@pytest.mark.django_db
def test_every_file_of_a_study_is_encrypted_and_every_reader_gets_it_plain(
    keys: Path, clinician_a: User, patient_a: Patient, media_root: Path
) -> None:
    data = dicom(3)
    image = receive(clinician_a, patient_a, data)
    for name in (image.original, image.display, image.thumbnail):
        assert on_disk(name).startswith(MAGIC)
    assert all(b"DICM" not in (media_root / name).read_bytes() for name in stored_files(media_root))
    assert storage.read(image.original) == data
    assert engine._read(image.original) == data
    assert default_storage.size(image.original) == len(data) == image.size_bytes
    response = serve_image(image, Rendition.ORIGINAL)
    assert isinstance(response, FileResponse)
    assert response["Content-Length"] == str(len(data))
    assert b"".join(response.streaming_content) == data  # type: ignore[arg-type]
    storage.put(pixels.cached_name(image.pk), b"packed values")
    assert on_disk(pixels.cached_name(image.pk)).startswith(MAGIC)


def test_no_server_can_send_the_encrypted_bytes_past_the_reader(
    keys: Path, media_root: Path
) -> None:
    """gunicorn hands a file's descriptor to the kernel, where it has one."""
    storage.put(NAME, b"content")
    with default_storage.open(NAME) as handle, pytest.raises(OSError, match="fileno"):
        handle.fileno()


def test_plain_and_encrypted_files_lie_side_by_side(
    keys: Path, settings: Any, media_root: Path
) -> None:
    settings.FILE_ENCRYPTION = "off"
    before = storage.put(NAME, b"plain")
    settings.FILE_ENCRYPTION = "on"
    after = storage.put("images/ab/two.png", b"sealed")
    assert (storage.read(before), storage.read(after)) == (b"plain", b"sealed")
    settings.FILE_ENCRYPTION = "off"
    assert (storage.read(before), storage.read(after)) == (b"plain", b"sealed")
    settings.FILE_ENCRYPTION = "required"
    assert storage.read(after) == b"sealed"
    with pytest.raises(SealBroken):
        storage.read(before)


def test_a_damaged_file_is_not_even_begun(keys: Path, media_root: Path) -> None:
    name = storage.put(NAME, b"x" * 300_000)
    data = bytearray(on_disk(name))
    data[-5] ^= 1
    (media_root / name).write_bytes(data)
    with pytest.raises(SealBroken):
        default_storage.open(name)


def test_two_files_cannot_be_exchanged(keys: Path, media_root: Path) -> None:
    one, two = storage.put(NAME, b"Nina"), storage.put("images/ab/two.png", b"Sancho")
    (media_root / one).rename(media_root / "aside")
    (media_root / two).rename(media_root / one)
    with pytest.raises(SealBroken):
        storage.read(one)


@pytest.mark.django_db
def test_without_the_key_there_is_a_code_and_never_half_an_image(
    keys: Path, client_of: ClientOf, clinician_a: User, patient_a: Patient, settings: Any
) -> None:
    image = receive(clinician_a, patient_a)
    found = hide(keys)
    browser = client_of(clinician_a)
    answer = browser.get(f"/api/v1/images/{image.pk}/display/")
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_key_missing")
    assert browser.get(f"/images/{image.pk}/display/").status_code == 503
    with pytest.raises(TransientFailure) as failure:
        engine._read(image.original)
    assert failure.value.code == "storage_key_missing"
    with pytest.raises(gate.UploadRefused) as refusal:
        receive(clinician_a, patient_a, png(2))
    assert (refusal.value.code, refusal.value.http_status) == ("storage_key_missing", 503)
    assert Image.objects.count() == 1
    ready = browser.get("/readyz")
    assert ready.status_code == 503
    [problem] = [one for one in ready.json()["problems"] if one["check"] == "file_keys"]
    assert problem["code"] == "storage_key_missing"
    make_key(keys)  # Somebody thinks that any key will do.
    ready = browser.get("/readyz").json()
    [problem] = [one for one in ready["problems"] if one["check"] == "file_keys"]
    assert next(iter(found)).stem in problem["message"]
    put_back(found)
    assert browser.get(f"/api/v1/images/{image.pk}/display/").status_code == 200
    assert browser.get("/readyz").json()["checks"]["file_keys"] == "ok"


@pytest.mark.django_db
def test_a_file_that_looks_encrypted_comes_in_without_its_looks(
    clinician_a: User, patient_a: Patient
) -> None:
    """DICOM leaves its first 128 bytes to whoever writes them; the gate puts them to zeros."""
    image = receive(clinician_a, patient_a, MAGIC + dicom(3)[len(MAGIC) :])
    assert storage.read(image.original) == dicom(3)
    assert not on_disk(image.original).startswith(MAGIC)


def test_the_store_takes_nothing_that_looks_encrypted_whoever_brings_it(media_root: Path) -> None:
    with pytest.raises(PortalError) as refusal:
        storage.put(NAME, MAGIC + b"x" * 100)
    assert refusal.value.code == "content_reserved"
    assert stored_files(media_root) == []


@pytest.mark.django_db
def test_rotation_encrypts_and_rewraps_everything_and_says_which_key_is_free(
    keys: Path, settings: Any, media_root: Path
) -> None:
    settings.FILE_ENCRYPTION = "off"
    plain = storage.put(NAME, b"plain")
    settings.FILE_ENCRYPTION = "on"
    old = storage.put("reports/ab/two.pdf", b"old" * 100_000)
    [old_key] = [path.stem for path in keys.iterdir()]
    long_ago = time.time() - 90_000
    for name in (plain, old):
        os.utime(media_root / name, (long_ago, long_ago))
    body = on_disk(old)[-1000:]
    said = StringIO()
    call_command("rotate_keys", "--new-key", stdout=said)
    assert f"{old_key} any more" in said.getvalue()
    (keys / f"{old_key}.key").unlink()
    assert (storage.read(plain), storage.read(old)) == (b"plain", b"old" * 100_000)
    assert on_disk(old)[-1000:] == body  # The data key stayed; only its wrapping is new.
    assert abs((media_root / plain).stat().st_mtime - long_ago) < 1
    event = Event.objects.get(action="storage.rotate_keys")
    assert (event.detail["encrypted"], event.detail["rewrapped"]) == (1, 1)
    again = StringIO()
    call_command("rotate_keys", stdout=again)
    assert "0 files encrypted, 0 brought under it, 2 were already" in again.getvalue()


@pytest.mark.django_db
def test_rotation_frees_no_key_while_a_file_still_needs_it(keys: Path, media_root: Path) -> None:
    bad, good = storage.put(NAME, b"a"), storage.put("images/ab/two.png", b"b")
    data = bytearray(on_disk(bad))
    data[60] ^= 1  # Within the wrapped data key.
    (media_root / bad).write_bytes(data)
    said = StringIO()
    with pytest.raises(CommandError, match="no key may be removed"):
        call_command("rotate_keys", "--new-key", stdout=said)
    assert "any more" not in said.getvalue()
    assert storage.read(good) == b"b"


@pytest.mark.django_db
def test_a_file_that_is_erased_during_rotation_does_not_come_back(
    keys: Path, settings: Any, media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FILE_ENCRYPTION = "off"
    name = storage.put(NAME, b"plain")
    settings.FILE_ENCRYPTION = "on"
    write = rotation.write_durably

    def erased_meanwhile(path: Path, blocks: Any) -> None:
        write(path, blocks)
        default_storage.delete(name)

    monkeypatch.setattr(rotation, "write_durably", erased_meanwhile)
    done = rotation.rotate(sealed_storage())
    assert done.done[rotation.Turn.GONE] == 1
    assert [one for one in stored_files(media_root) if not one.startswith("keys/")] == []


@pytest.mark.django_db
def test_files_stay_readable_while_their_keys_are_rotated(keys: Path, media_root: Path) -> None:
    contents = {storage.put(f"images/ab/{n}.png", bytes([n]) * 70_000): n for n in range(20)}
    wrong: list[str] = []
    stop = threading.Event()

    def read_on() -> None:
        while not stop.is_set():
            for name, n in contents.items():
                if storage.read(name) != bytes([n]) * 70_000:
                    wrong.append(name)

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        for _ in range(3):
            make_key(keys)
            done = rotation.rotate(sealed_storage())
            assert (done.changed, done.failed) == (20, [])
    finally:
        stop.set()
        reader.join()
    assert wrong == []


@pytest.mark.django_db
def test_rotation_wants_encryption_on(media_root: Path) -> None:
    with pytest.raises(CommandError, match="encryption_off"):
        call_command("rotate_keys")


def test_writing_without_any_key_is_refused(keys: Path, media_root: Path) -> None:
    hide(keys)
    with pytest.raises(KeyMissing):
        storage.put(NAME, b"x")
    assert stored_files(media_root) == []


def test_keys_that_others_read_or_that_lie_among_the_files_are_refused(
    keys: Path, settings: Any, media_root: Path
) -> None:
    def ids() -> set[str]:
        return {str(message.id) for message in run_checks()}

    assert not {"portal.E020", "portal.E021"} & ids()
    next(keys.iterdir()).chmod(0o644)
    assert "portal.E020" in ids()
    settings.ENCRYPTION_KEYS_DIR = media_root / "keys"
    assert "portal.E021" in ids()
