"""SQLite as the portal runs it; shared by the embedded and the test settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def sqlite_database(path: Path, *, synchronous: str = "FULL") -> dict[str, Any]:
    """A Django database entry for the file ``path``.

    WAL lets pages be read while a worker writes. ``IMMEDIATE`` takes the write lock when a
    transaction begins: with SQLite's default, two transactions that read first and write later
    fail with "database is locked" without waiting. ``timeout`` is how many seconds a writer
    waits for another. ``synchronous=FULL`` makes a commit reach the disk before it is
    acknowledged, so that a power cut loses no accepted X-ray; under WAL this costs one fsync a
    commit, and ``NORMAL`` would save nothing that a clinician could notice. ``secure_delete``
    writes zeros over what is deleted: an erased patient is not in the file any more.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": (
                "PRAGMA journal_mode=WAL;"
                f"PRAGMA synchronous={synchronous};"
                "PRAGMA cache_size=-16000;"
                "PRAGMA mmap_size=134217728;"
                "PRAGMA journal_size_limit=67108864;"
                "PRAGMA secure_delete=ON"
            ),
        },
    }
