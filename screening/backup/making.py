"""Making a backup while the portal runs.

First one picture of the database, then the files that its rows name. Files are written before their
rows and never changed, so each is there, whole, unless it was erased since. What an earlier backup
holds already is linked, not copied. The folder gets its name when everything in it was read back.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import django
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils.translation import gettext as _

from screening.backup.database import BLOCK, BackupFailed, server_version, snapshot, table_counts
from screening.backup.manifest import (
    DATABASE,
    FILES,
    BackupDamaged,
    Manifest,
    Part,
    is_whole,
    read_manifest,
)
from screening.core.recipient import SealingKey
from screening.core.sealing import StoredFileError, seal
from screening.studies import storage
from screening.studies.sealed_storage import keyring
from screening.studies.storage import StoredFile

logger = logging.getLogger(__name__)

NAME: Final = "thorascreen-%Y%m%dT%H%M%SZ"
NAMED: Final = re.compile(r"thorascreen-\d{8}T\d{6}Z")
PARTIAL: Final = ".partial-"
PORTAL_SETTINGS: Final = (
    "FILE_ENCRYPTION",
    "ENCRYPTION_KEYS_DIR",
    "MEDIA_ROOT",
    "TIME_ZONE",
    "THORASCREEN_MODEL",
    "THORASCREEN_MODELS",
    "INFERENCE_RUNTIME",
    "EMAIL_HOST",
    "SESSION_COOKIE_AGE",
    "SESSION_HARD_AGE_S",
    "BACKUP_TO",
    "BACKUP_KEEP",
)
"""Settings of which a backup says whether they differ from the default: a list of what to set again
on a new machine. Names only, for values may be secret."""


@dataclass(frozen=True)
class Made:
    """A backup that is whole. ``new_bytes`` counts what was not linked from an earlier one."""

    folder: Path
    manifest: Manifest
    new_bytes: int
    removed: list[str]


def make_backup(
    *,
    to: Path,
    key: SealingKey,
    keep: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> Made:
    """Make a backup in a new folder below ``to``; keep the newest ``keep`` ones (0: all).

    :raises BackupFailed: with the code of what was in the way; nothing of it stays.
    """
    try:
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(to):
            return _make(to, key, keep, tell)
    except OSError as error:
        logger.error("no backup was made: %s", error.strerror or type(error).__name__)
        raise BackupFailed(
            _("The backup could not be written: %(why)s.")
            % {"why": error.strerror or type(error).__name__},
            code="backup_not_written",
        ) from None


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    with open(to / ".lock", "a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(
                _("Another backup is being made there at this moment."), code="backup_running"
            ) from None
        yield


def _make(to: Path, key: SealingKey, keep: int, tell: Callable[[str], None]) -> Made:
    for left_over in to.glob(f"{PARTIAL}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    before = newest_backup(to, key)
    moment = datetime.now(UTC)
    final = to / moment.strftime(NAME)
    if final.exists():
        raise BackupFailed(_("A backup of this very second is there."), code="backup_running")
    partial = to / f"{PARTIAL}{final.name}"
    partial.mkdir(mode=0o700)
    try:
        tell("Copying the database.")
        manifest, wanted = _picture(partial, key, moment)
        writer = _Files(partial, key, before)
        for count, file in enumerate(wanted, 1):
            writer.take(file)
            if count % 500 == 0:
                tell(f"{count} of {len(wanted)} files.")
        manifest.files = writer.parts
        manifest.unreadable, manifest.erased = writer.unreadable, writer.erased
        tell("Reading everything back.")
        for part in manifest.parts():
            if part.path not in writer.linked and not is_whole(partial, part):
                raise BackupFailed(
                    _("What was written could not be read back: look at the disk of the backups."),
                    code="backup_not_verified",
                )
        manifest.write(partial, key)
        os.sync()
        partial.rename(final)
        os.sync()
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    new = manifest.database.size + writer.new_bytes
    return Made(final, manifest, new, _remove_old(to, key, keep))


def _picture(folder: Path, key: SealingKey, moment: datetime) -> tuple[Manifest, list[StoredFile]]:
    """The database's part, and the files that its rows name."""
    with snapshot() as picture:
        part = _write(folder, DATABASE, picture.dump, key)
        wanted = list(storage.kept_files(picture.alias))
        counts = table_counts(picture.alias)
        applied = MigrationRecorder.Migration.objects.using(picture.alias).order_by("app", "name")
        migrations = [list(row) for row in applied.values_list("app", "name")]
    manifest = Manifest(
        id=moment.strftime("%Y%m%dT%H%M%SZ"),
        made_at=moment.isoformat(timespec="seconds"),
        backup_key=key.id,
        vendor=connection.vendor,
        versions={
            "python": platform.python_version(),
            "django": django.get_version(),
            connection.vendor: server_version(),
        },
        migrations=migrations,
        tables=counts,
        settings=[name for name in PORTAL_SETTINGS if getattr(settings, name, None)],
        file_encryption=str(settings.FILE_ENCRYPTION),
        file_keys=[
            {"id": one.id, "fingerprint": one.fingerprint} for one in keyring().keys().values()
        ],
        database=part,
    )
    return manifest, wanted


class _Files:
    """Puts stored files into a backup, one after the other."""

    def __init__(self, folder: Path, key: SealingKey, before: tuple[Path, Manifest] | None) -> None:
        self._folder = folder
        self._key = key
        self._before = before[0] if before else None
        known = before[1].files if before and before[1].backup_key == key.id else []
        self._known = {part.path: part for part in known}
        self.parts: list[Part] = []
        self.linked: set[str] = set()
        self.unreadable: list[list[str]] = []
        self.erased: list[str] = []
        self.new_bytes = 0

    def take(self, file: StoredFile) -> None:
        path = f"{FILES}/{file.name}"
        target = self._folder / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._link(path):
            return
        try:
            part = self._copy(path, file)
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            if storage.is_in_use(file.name):
                self._lose(file, "file_missing")
            else:
                self.erased.append(file.name)
        except StoredFileError as error:
            target.unlink(missing_ok=True)
            self._lose(file, error.code)
        else:
            self.parts.append(part)
            self.new_bytes += part.size

    def _link(self, path: str) -> bool:
        """Take the part of the backup before, if it is still what was written then."""
        part = self._known.get(path)
        if part is None or self._before is None:
            return False
        try:
            os.link(self._before / path, self._folder / path)
        except OSError:  # Gone, or a file system without links: then it is made again.
            return False
        if not is_whole(self._folder, part):
            (self._folder / path).unlink()
            return False
        self.parts.append(part)
        self.linked.add(path)
        return True

    def _copy(self, path: str, file: StoredFile) -> Part:
        digest = hashlib.sha256()

        def blocks() -> Iterator[bytes]:
            with default_storage.open(file.name, "rb") as handle:
                for block in iter(lambda: handle.read(BLOCK), b""):
                    digest.update(block)
                    yield block

        part = _write(self._folder, path, blocks(), self._key)
        if file.sha256 and digest.hexdigest() != file.sha256:
            # Kept all the same: a damaged X-ray is better than none. The list says what it is.
            self._lose(file, "file_changed")
        return part

    def _lose(self, file: StoredFile, code: str) -> None:
        logger.error("%s can't be backed up: %s", file.name, code)
        self.unreadable.append([file.name, code])


def _write(folder: Path, path: str, blocks: Iterable[bytes], key: SealingKey) -> Part:
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(folder / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        for block in seal(blocks, key, path):
            handle.write(block)
            digest.update(block)
            size += len(block)
    return Part(path, size, digest.hexdigest())


def backups_in(to: Path) -> list[Path]:
    """The folders of whole backups, the oldest first."""
    try:
        return sorted(path for path in to.iterdir() if NAMED.fullmatch(path.name))
    except OSError:
        return []


def newest_backup(to: Path, key: SealingKey) -> tuple[Path, Manifest] | None:
    """The newest backup made with this key, and its list."""
    for folder in reversed(backups_in(to)):
        try:
            return folder, read_manifest(folder, key)
        except BackupDamaged:
            logger.warning("%s is no backup of this key", folder.name)
    return None


def _remove_old(to: Path, key: SealingKey, keep: int) -> list[str]:
    """Remove all but the newest ``keep`` backups of this key. Those of others are left alone."""
    if keep <= 0:
        return []
    own = []
    for folder in backups_in(to):
        try:
            read_manifest(folder, key)
        except BackupDamaged:
            continue
        own.append(folder)
    removed = own[:-keep]
    for folder in removed:
        aside = to / f"{PARTIAL}{folder.name}"  # It must not look whole while it is taken apart.
        folder.rename(aside)
        shutil.rmtree(aside)
    return [folder.name for folder in removed]
