"""A backup that is not what was made is refused before anything is touched."""

from __future__ import annotations

import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from screening.accounts.models import User
from screening.backup import database, restoring
from screening.backup.making import Made, make_backup
from screening.backup.manifest import BackupDamaged, check_parts, read_manifest
from screening.core.errors import Conflict, InvalidInput
from screening.core.recipient import (
    OpeningKey,
    SealingKey,
    make_pair,
    read_opening_key,
    read_sealing_key,
)
from screening.core.sealing import KeyMissing, SealBroken, SealedReader
from tests.backup.kit import rows_of
from tests.radiographs import stored_files

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]


def refuse(folder: Path, key: OpeningKey, kind: type[Exception] = BackupDamaged) -> Any:
    with pytest.raises(kind) as refusal:
        restoring.restore(folder, key, replace=True)
    return refusal.value


def test_one_byte_of_any_part_is_noticed_and_nothing_is_touched(
    made: Made, opening_key: OpeningKey, media_root: Path
) -> None:
    before, files = rows_of("default"), stored_files(media_root)
    paths = sorted(path for path in made.folder.rglob("*") if path.is_file())
    assert len(paths) == 2 + 1 + 3
    for path in paths:
        good = path.read_bytes()
        for place in (0, len(good) // 2, len(good) - 2):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
            assert refuse(made.folder, opening_key).code.startswith("backup_")
        path.write_bytes(good[:-20])
        refuse(made.folder, opening_key)
        path.unlink()
        refuse(made.folder, opening_key)
        path.write_bytes(good)
    assert (rows_of("default"), stored_files(media_root)) == (before, files)
    check_parts(made.folder, read_manifest(made.folder, opening_key))


def test_two_parts_cannot_be_exchanged_nor_taken_from_another_backup(
    made: Made, opening_key: OpeningKey, sealing_key: SealingKey, tmp_path: Path
) -> None:
    one, two = (made.folder / part.path for part in made.manifest.files[:2])
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    refuse(made.folder, opening_key)
    one.write_bytes(first)
    two.write_bytes(second)
    other = make_backup(to=tmp_path / "others", key=sealing_key)
    shutil.copy(other.folder / "database", made.folder / "database")
    refuse(made.folder, opening_key)


def test_another_key_opens_nothing(made: Made, tmp_path: Path, opening_key: OpeningKey) -> None:
    make_pair(tmp_path / "other.seal", tmp_path / "other.open")
    other = read_opening_key(tmp_path / "other.open")
    refuse(made.folder, other)
    part = made.manifest.database
    handle = (made.folder / part.path).open("rb")
    with pytest.raises(KeyMissing):
        SealedReader(handle, other, part.path)
    # Not even somebody who knows the pair's shared secret and lacks the private half.
    mixed = OpeningKey(other.private, opening_key.origin)
    assert refuse(made.folder, mixed).code == "backup_key_wrong"


def test_who_does_not_hold_the_pairs_secret_cannot_make_a_backup_up(
    made: Made, tmp_path: Path, opening_key: OpeningKey
) -> None:
    """The public half alone would seal anything; the secret of the pair goes into each part."""
    forged = make_backup(to=tmp_path / "forged", key=SealingKey(opening_key.public, b"?" * 32))
    refuse(forged.folder, opening_key)
    part = forged.manifest.database
    with pytest.raises(SealBroken):
        SealedReader((forged.folder / part.path).open("rb"), opening_key, part.path)


def test_the_server_cannot_read_what_it_made(made: Made, sealing_file: Path) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_opening_key(sealing_file)
    assert refusal.value.code == "backup_key_unusable"
    assert read_sealing_key(sealing_file).authenticate(b"x")


def test_a_key_file_that_others_read_is_refused(opening_file: Path) -> None:
    opening_file.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        read_opening_key(opening_file)


def test_a_portal_in_use_is_not_overrun(made: Made, opening_key: OpeningKey) -> None:
    before = rows_of("default")
    with pytest.raises(Conflict) as refusal:
        restoring.restore(made.folder, opening_key)
    assert refusal.value.code in ("not_empty", "portal_running")
    assert rows_of("default") == before


def test_files_that_were_encrypted_do_not_become_plain_unasked(
    made: Made, opening_key: OpeningKey, settings: Any
) -> None:
    settings.FILE_ENCRYPTION = "off"
    assert refuse(made.folder, opening_key, Conflict).code == "encryption_off"


def test_a_backup_of_a_newer_portal_is_refused(
    made: Made, opening_key: OpeningKey, sealing_key: SealingKey
) -> None:
    made.manifest.migrations.append(["studies", "9999_of_next_year"])
    made.manifest.write(made.folder, sealing_key)
    assert refuse(made.folder, opening_key, Conflict).code == "backup_newer"


def test_anybody_with_either_key_can_verify_a_backup(
    made: Made, sealing_file: Path, opening_file: Path
) -> None:
    for file in (sealing_file, opening_file):
        said = StringIO()
        call_command("verify_backup", made.folder, "--key", file, stdout=said)
        assert "is whole" in said.getvalue()
    (made.folder / made.manifest.files[0].path).write_bytes(b"")
    with pytest.raises(CommandError, match="backup_damaged"):
        call_command("verify_backup", made.folder, "--key", sealing_file)


def test_a_load_that_breaks_off_leaves_sqlite_as_it_was(
    made: Made, clinician_a: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target.sqlite3"
    monkeypatch.setitem(connection.settings_dict, "NAME", str(target))
    monkeypatch.setattr(connection, "close", lambda: None)

    def broken() -> Any:
        yield b"SQLite format 3\0" + b"x" * 5000
        raise SealBroken("cut off")

    with pytest.raises(SealBroken):
        database.load_sqlite(broken(), aside="")
    with pytest.raises(database.BackupFailed):
        database.load_sqlite([b"SQLite format 3\0" + b"x" * 5000], aside="")
    assert not list(tmp_path.glob("*target.sqlite3*"))
