"""Another machine: a database and folders of its own, used through real processes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from django.conf import settings
from django.db import connection, connections

from screening.backup.database import also_known_as
from screening.core.keyring import make_key
from tests.services.kit import ROOT

ALIAS = "elsewhere"


@dataclass
class Machine:
    """An installation beside the test's own one."""

    folder: Path
    database: str

    @classmethod
    @contextmanager
    def empty(cls, folder: Path) -> Iterator[Machine]:
        """A machine that has nothing yet but an empty database and a key for stored files."""
        folder.mkdir()
        make_key(folder / "keys")
        if connection.vendor == "sqlite":
            yield cls(folder, str(folder / "db.sqlite3"))
            return
        name = f"elsewhere_{os.getpid()}"
        _on_server(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
        try:
            yield cls(folder, name)
        finally:
            _on_server(f"DROP DATABASE {name} WITH (FORCE)")

    @property
    def media(self) -> Path:
        return self.folder / "media"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "portal.settings.test",
            "TEST_RUN_DIR": str(self.folder),
            "TEST_REDIS_URL": str(settings.REDIS_URL),
            "TEST_MEDIA_ROOT": str(self.media),
            "TEST_DATABASE_NAME": self.database,
            "FILE_ENCRYPTION": "on",
            "ENCRYPTION_KEYS_DIR": str(self.folder / "keys"),
            "LOG_LEVEL": "ERROR",
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def manage(self, *arguments: str) -> tuple[int, str]:
        """Run ``manage.py`` there; return its exit status and words."""
        process = self.start("manage.py", *arguments)
        said, _ = process.communicate(timeout=200)
        return process.returncode, said

    def look(self, **asked: Any) -> dict[str, Any]:
        """What a portal that serves this machine's data answers (``tests.backup.look``)."""
        process = self.start("-m", "tests.backup.look", json.dumps(asked))
        said, _ = process.communicate(timeout=200)
        assert process.returncode == 0, said
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        return found

    @contextmanager
    def rows(self) -> Iterator[dict[str, set[str]]]:
        """A digest of each row of each table there."""
        with also_known_as(ALIAS, self.database):
            yield rows_of(ALIAS)


def rows_of(alias: str) -> dict[str, set[str]]:
    """A digest of each row of each table."""
    asked = connections[alias]
    found = {}
    with asked.cursor() as cursor:
        for table in asked.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {asked.ops.quote_name(table)}")  # noqa: S608
            found[table] = {
                hashlib.sha256(repr(row).encode()).hexdigest() for row in cursor.fetchall()
            }
    return found


def _on_server(*statements: str) -> None:
    server = psycopg2.connect(os.environ["TEST_DATABASE_URL"])
    server.autocommit = True
    with server.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    server.close()
