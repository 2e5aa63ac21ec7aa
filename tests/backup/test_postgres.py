"""What only PostgreSQL has: a client that may be missing, and a load in one transaction."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from screening.accounts.models import User
from screening.backup import database
from screening.backup.making import Made
from screening.core.recipient import OpeningKey
from screening.core.sealing import SealBroken, SealedReader
from tests.backup.kit import rows_of

pytestmark = [pytest.mark.server, pytest.mark.django_db(transaction=True)]


def test_a_load_that_breaks_off_is_taken_back_by_postgresql(
    made: Made, opening_key: OpeningKey, clinician_a: User
) -> None:
    """The archive is read twice: for its contents, and to load it. The second time it breaks."""
    before = rows_of("default")
    part = made.manifest.database
    with SealedReader((made.folder / part.path).open("rb"), opening_key, part.path) as reader:
        whole = reader.read()
    asked = []

    def archive() -> Any:
        asked.append(1)
        yield whole[: len(whole) if len(asked) == 1 else len(whole) * 3 // 4]
        if len(asked) == 2:
            raise SealBroken("cut off")

    with pytest.raises((SealBroken, database.BackupFailed)):
        database.load_postgres(archive)
    assert rows_of("default") == before
    assert User.objects.get(pk=clinician_a.pk)


def test_without_postgresqls_client_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    with pytest.raises(database.BackupFailed) as failure:
        database.postgres_program("pg_dump")
    assert failure.value.code == "postgres_client_missing"
    assert "install PostgreSQL's client" in failure.value.message
