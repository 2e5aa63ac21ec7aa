"""A backup of the scratch portal, and the whole of it brought back from there."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from django.core.files.storage import default_storage
from django.test import override_settings

from portal.selftest.registry import Bench, Outcome, failed, passed, self_check
from screening.audit.models import Event
from screening.backup.making import make_backup
from screening.backup.restoring import restore
from screening.core.recipient import make_pair, read_opening_key
from screening.patients.models import Patient
from screening.studies import storage


@self_check(
    "backup",
    "A backup brings everything back",
    asvs=("V14.2", "V16.4", "V11.3"),
    hipaa=("164.308(a)(7)(ii)(A)", "164.308(a)(7)(ii)(B)", "164.312(c)(1)"),
    needs_scratch=True,
)
def a_backup_brings_everything_back(bench: Bench) -> Outcome:
    """Makes an encrypted backup, loses a file and a patient's rows, and restores both."""
    image, folder = bench.scratch.image, bench.folder
    before = _digest(image.original), Patient.objects.count()
    events = Event.objects.count()
    opening = folder / "backup-opening-key"
    key = make_pair(folder / "backup-sealing-key", opening)
    with override_settings(VAR_DIR=folder):
        started = time.perf_counter()
        made = make_backup(to=folder / "backups", key=key)
        backed_up = time.perf_counter()
        shown = _in_clear(made.folder, bench.scratch.patient.family_name)
        default_storage.delete(image.original)
        done = restore(made.folder, read_opening_key(opening), replace=True, plain=True)
        restored = time.perf_counter()
    wrong = []
    if shown:
        wrong.append("the backup shows a patient's name to whoever reads its files")
    if (_digest(image.original), Patient.objects.count()) != before:
        wrong.append("what came back is not what was there")
    if Event.objects.count() < events:
        wrong.append("events of the audit are missing")
    if done.wrong or done.lost:
        wrong.append(f"{len(done.wrong) + len(done.lost)} files are not what their rows say")
    if wrong:
        return failed("; ".join(wrong))
    return passed(
        f"{done.files} files and the database came back; every hash and the audit hold.",
        files=done.files,
        kilobytes=round(made.manifest.size / 1000),
        backup_s=round(backed_up - started, 2),
        restore_s=round(restored - backed_up, 2),
    )


def _in_clear(folder: Path, name: str) -> bool:
    """Whether the bytes of the backup hold the name as it is."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return any(name.encode() in path.read_bytes() for path in files)


def _digest(name: str) -> str:
    """Of a stored file; empty where there is none."""
    try:
        return hashlib.sha256(storage.read(name)).hexdigest()
    except FileNotFoundError:
        return ""
