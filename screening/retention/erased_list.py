"""The list of erased patients beside the database, for the day on which a backup is restored.

A backup knows nothing of what was erased after it. So every erasure is also a line of a file that
lies outside the database and outside its backups: keys and a date, no names.
``manage.py reapply_erasures`` reads it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from django.conf import settings

from screening.patients.models import Erasure


def note(erasure: Erasure) -> None:
    """Add a line for ``erasure``, on the disk when this returns. Raises ``OSError``."""
    path = Path(settings.ERASURE_LIST)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    line = {
        "patient": str(erasure.patient_id),
        "site": str(erasure.site_id),
        "erasure": str(erasure.pk),
        "at": erasure.created_at.isoformat(timespec="seconds"),
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def patients_in(path: Path) -> Iterator[UUID]:
    """The keys in a list; a line that a crash cut short is passed over."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield UUID(json.loads(line)["patient"])
        except (ValueError, KeyError, TypeError):
            continue
