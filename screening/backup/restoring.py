"""Putting a backup onto an empty machine: all of it, or nothing that anybody could use.

Everything is verified before anything is touched. Then files are laid down under a hidden folder,
moved into their places, and the database comes last, in one step: until then there is nobody who
could sign in. A restore that was cut off leaves a mark behind and is simply started again.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.management import call_command, get_commands
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils.translation import gettext as _

from screening.audit.services import record
from screening.backup import database
from screening.backup.database import BLOCK, BackupFailed
from screening.backup.manifest import FILES, BackupDamaged, Manifest, check_parts, read_manifest
from screening.core.errors import Conflict
from screening.core.recipient import OpeningKey
from screening.core.sealing import CHUNK, SealedReader, StoredFileError
from screening.retention.again import reapply_erasures
from screening.studies import storage
from screening.studies.sealed_storage import SealedFileSystemStorage

logger = logging.getLogger(__name__)

UNFINISHED: Final = storage.UNFINISHED_RESTORE
"""The hidden folder, below that of stored files, which exists while a restore is under way."""
ASIDE: Final = "before-restore"
PEOPLE_AND_PLACES: Final = ("accounts_user", "accounts_site", "patients_patient", "studies_study")
"""A database with a row in one of these tables is in use."""


@dataclass
class Restored:
    """What came back. ``wrong`` lists files that are not what their rows say, ``lost`` those that
    the backup itself could not read; ``erased`` counts patients that were erased again."""

    manifest: Manifest
    files: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    audit: str = ""
    erased: int = 0


def restore(
    folder: Path,
    key: OpeningKey,
    *,
    replace: bool = False,
    plain: bool = False,
    erasures: Sequence[Path] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Restore the backup in ``folder`` into this installation.

    :param replace: put aside what is here; without it only an empty machine is taken.
    :param plain: take files that were encrypted at rest although they won't be so here.
    :param erasures: lists of erased patients (``retention.erased_list``) beside the own one.
    :raises BackupDamaged: a part is not what was made, or the key is another one.
    :raises Conflict: this machine is in use (``not_empty``, ``portal_running``), or does not fit.
    :raises BackupFailed: something was in the way; start it again.
    """
    tell("Verifying the backup.")
    manifest = read_manifest(folder, key)
    _check_key(folder, manifest, key)
    check_parts(folder, manifest)
    _check_fit(manifest, plain)
    root = Path(default_storage.path(""))
    with _portal_stopped():
        repeated = (root / UNFINISHED).exists()
        if not (repeated or replace) and not _is_empty(root):
            raise Conflict(
                _(
                    "This portal holds data already. Restore onto an empty one, or say --replace "
                    "to put aside what is here."
                ),
                code="not_empty",
            )
        _begin(root, manifest)
        tell(f"Laying down {len(manifest.files)} files.")
        _lay_down(folder, manifest, key, root / UNFINISHED / "files", tell)
        _move_in(root / UNFINISHED / "files", root)
        tell("Loading the database.")
        _load_database(folder, manifest, key)
        _check_counts(manifest)
        tell("Bringing the database up to date.")
        call_command("migrate", interactive=False, verbosity=0)
    done = Restored(manifest, lost=[name for name, _code in manifest.unreadable])
    tell("Comparing every file with its row.")
    _compare_files(done, set(done.lost) | set(manifest.erased))
    tell("Erasing again who was erased since.")
    done.erased = reapply_erasures(lists=erasures)
    done.audit = _verify_audit(tell)
    record(
        "backup.restore",
        detail={
            "backup": manifest.id,
            "files": done.files,
            "wrong": len(done.wrong),
            "erased": done.erased,
        },
    )
    shutil.rmtree(root / UNFINISHED)
    return done


# --- Before anything is touched -----------------------------------------------------------------


def _check_key(folder: Path, manifest: Manifest, key: OpeningKey) -> None:
    """Refuse another key before gigabytes are read."""
    if manifest.backup_key != key.id:
        raise BackupDamaged(
            _("This backup was sealed for the key %(id)s; that is not the one given.")
            % {"id": manifest.backup_key},
            code="backup_key_wrong",
        )


def _check_fit(manifest: Manifest, plain: bool) -> None:
    if manifest.vendor != connection.vendor:
        raise Conflict(
            _("This backup is of a %(there)s database, and this portal uses %(here)s.")
            % {"there": manifest.vendor, "here": connection.vendor},
            code="backup_of_another_database",
        )
    known = set(MigrationLoader(None).disk_migrations)
    ours = {app for app, _name in known}
    newer = [(app, name) for app, name in manifest.migrations if app in ours]
    if not set(newer) <= known:
        raise Conflict(
            _("This backup was made by a newer portal than this one. Install that version first."),
            code="backup_newer",
        )
    if manifest.file_encryption != "off" and settings.FILE_ENCRYPTION == "off" and not plain:
        raise Conflict(
            _(
                "Files were encrypted at rest where this backup was made. Set FILE_ENCRYPTION=on "
                "and make a key (make_file_key), or say --plain."
            ),
            code="encryption_off",
        )


@contextmanager
def _portal_stopped() -> Iterator[None]:
    """Refuse while the portal runs on this database."""
    if connection.vendor == "postgresql" and database.other_connections():
        raise _still_running()
    with _lock_of_make_run():
        yield


@contextmanager
def _lock_of_make_run() -> Iterator[None]:
    """``make run`` holds this lock for as long as it runs."""
    import fcntl

    path = Path(settings.VAR_DIR) / "run" / "portal.lock"
    if not path.exists():
        yield
        return
    with path.open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _still_running() from None
        yield


def _still_running() -> Conflict:
    return Conflict(
        _("The portal runs here, or another program uses its database: stop it first."),
        code="portal_running",
    )


def _is_empty(root: Path) -> bool:
    """Whether nobody works here: no file is stored, and no person, site or patient is known."""
    if root.exists() and any(path.is_file() for path in root.rglob("*")):
        return False
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for table in sorted(tables & set(PEOPLE_AND_PLACES)):
            cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608 (one of our own names)
            if cursor.fetchone():
                return False
    return True


# --- Files ---------------------------------------------------------------------------------------


def _begin(root: Path, manifest: Manifest) -> None:
    """Leave the mark, and put aside what lies here, be it of a restore that was cut off."""
    mark = root / UNFINISHED
    again = mark.exists()
    mark.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(mark / "files", ignore_errors=True)
    old = [path for path in root.iterdir() if not path.name.startswith(".")]
    if again:
        for path in old:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif old:
        aside = root / f".{ASIDE}-{manifest.id}"
        aside.mkdir(mode=0o700, exist_ok=True)
        for path in old:
            path.rename(aside / path.name)


def _lay_down(
    folder: Path, manifest: Manifest, key: OpeningKey, target: Path, tell: Callable[[str], None]
) -> None:
    """Write each file as this installation keeps files: encrypted with its own key, or plain."""
    target.mkdir(mode=0o700)
    place = _Unhurried(location=str(target))
    for count, part in enumerate(manifest.files, 1):
        name = part.path.removeprefix(f"{FILES}/")
        with _opened(folder / part.path, key, part.path) as content:
            if place.save(name, File(content)) != name:
                raise BackupFailed(_("A file is in the backup twice."), code="backup_damaged")
        if count % 500 == 0:
            tell(f"{count} of {len(manifest.files)} files.")
    os.sync()


class _Unhurried(SealedFileSystemStorage):
    """Brings all files to the disk at once at the end, for nothing counts before."""

    flushes = False


def _opened(path: Path, key: OpeningKey, name: str) -> Any:
    return io.BufferedReader(SealedReader(path.open("rb"), key, name), CHUNK)


def _move_in(laid: Path, root: Path) -> None:
    for path in laid.iterdir():
        path.rename(root / path.name)


# --- The database --------------------------------------------------------------------------------


def _load_database(folder: Path, manifest: Manifest, key: OpeningKey) -> None:
    def blocks() -> Iterator[bytes]:
        part = manifest.database
        with _opened(folder / part.path, key, part.path) as content:
            yield from iter(lambda: content.read(BLOCK), b"")

    if connection.vendor == "postgresql":
        database.load_postgres(blocks)
    else:
        database.load_sqlite(blocks(), aside=f"{ASIDE}-{manifest.id}")


def _check_counts(manifest: Manifest) -> None:
    found = database.table_counts(connection.alias)
    wrong = [name for name, count in manifest.tables.items() if found.get(name) != count]
    if wrong:
        raise BackupFailed(
            _("These tables do not hold what they held: %(tables)s.")
            % {"tables": ", ".join(wrong)},
            code="rows_missing",
        )


# --- Afterwards ----------------------------------------------------------------------------------


def _compare_files(done: Restored, known_lost: set[str]) -> None:
    for file in storage.kept_files(connection.alias):
        if file.name in known_lost:
            continue
        done.files += 1
        try:
            with default_storage.open(file.name, "rb") as handle:
                digest = hashlib.file_digest(cast("Any", handle), "sha256").hexdigest()
        except (FileNotFoundError, StoredFileError):
            done.wrong.append(file.name)
            continue
        if file.sha256 and digest != file.sha256:
            done.wrong.append(file.name)


def _verify_audit(tell: Callable[[str], None]) -> str:
    """What ``verify_audit`` says of the chains; empty where they hold."""
    if "verify_audit" not in get_commands():
        return ""
    tell("Verifying the audit.")
    said = io.StringIO()
    try:
        call_command("verify_audit", stdout=said)
    except Exception as error:
        return f"{said.getvalue()}{error}"
    return ""
