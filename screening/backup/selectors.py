"""How the backups of this installation stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection
from django.utils import timezone

from screening.backup.models import Run
from screening.core.disks import Disk, disk_under
from screening.studies.sealed_storage import (
    encrypts,
    keyring,
    keys_in_use,
    missing_keys,
    sealed_storage,
)

LATE: Final = timedelta(hours=30)
"""A daily backup that is older has not come: a day, and some hours for a long one."""
SHOWN: Final = 20


@dataclass(frozen=True)
class Standing:
    """``code`` says what is wrong with the backups, empty where nothing is or none are wanted."""

    wanted: bool
    last_good: Run | None
    code: str


def standing() -> Standing:
    """Whether a daily backup is wanted, and whether it comes."""
    wanted = bool(settings.BACKUP_TO)
    last = Run.objects.first()
    good = Run.objects.filter(code="").first()
    if last is not None and last.code:
        code = last.code
    elif not wanted:
        code = ""
    elif good is None:
        code = "backup_never_made"
    elif timezone.now() - good.finished_at > LATE:
        code = "backup_overdue"
    else:
        code = ""
    return Standing(wanted, good, code if wanted else "")


def latest_runs() -> list[Run]:
    """The newest ones, whatever became of them."""
    return list(Run.objects.all()[:SHOWN])


@dataclass(frozen=True)
class FileKey:
    """One key of stored files: whether it locks new ones, is needed, and is there."""

    id: str
    fingerprint: str
    locks: bool
    is_missing: bool


@dataclass(frozen=True)
class AtRest:
    """How kept data is protected on this machine's disks."""

    encryption: str
    keys: list[FileKey]
    files_disk: Disk
    data_disk: Disk | None


def at_rest() -> AtRest:
    """``data_disk`` is that of SQLite's file; a database server's disk can't be seen from here."""
    held, wanted = keyring().keys(), sealed_storage()
    missing = set(missing_keys(wanted))
    newest = max(held, default="")
    keys = [
        FileKey(
            id,
            held[id].fingerprint if id in held and id not in missing else "",
            encrypts() and id == newest,
            id in missing,
        )
        for id in sorted({*held, *keys_in_use(wanted)}, reverse=True)
    ]
    own = connection.vendor == "sqlite"
    return AtRest(
        str(settings.FILE_ENCRYPTION),
        keys,
        disk_under(Path(settings.MEDIA_ROOT)),
        disk_under(Path(str(connection.settings_dict["NAME"])).parent) if own else None,
    )
