"""A pair of backup keys, files encrypted at rest, and an empty machine to restore onto."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from screening.accounts.models import User
from screening.backup.making import Made, make_backup
from screening.core.keyring import make_key
from screening.core.recipient import (
    OpeningKey,
    SealingKey,
    make_pair,
    read_opening_key,
    read_sealing_key,
)
from screening.patients.models import Patient
from tests.backup.kit import Machine
from tests.personas import *  # noqa: F403  (fixtures)
from tests.radiographs import receive


@pytest.fixture
def sealing_file(tmp_path: Path) -> Path:
    make_pair(tmp_path / "pair" / "sealing.key", tmp_path / "pair" / "opening.key")
    return tmp_path / "pair" / "sealing.key"


@pytest.fixture
def opening_file(sealing_file: Path) -> Path:
    return sealing_file.with_name("opening.key")


@pytest.fixture
def sealing_key(sealing_file: Path) -> SealingKey:
    return read_sealing_key(sealing_file)


@pytest.fixture
def opening_key(opening_file: Path) -> OpeningKey:
    return read_opening_key(opening_file)


@pytest.fixture
def keys(settings: Any, tmp_path: Path) -> Path:
    """Files are encrypted at rest, with one key."""
    settings.FILE_ENCRYPTION = "on"
    settings.ENCRYPTION_KEYS_DIR = tmp_path / "keys"
    make_key(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def made(
    keys: Path, clinician_a: User, patient_a: Patient, tmp_path: Path, sealing_key: SealingKey
) -> Made:
    receive(clinician_a, patient_a)
    return make_backup(to=tmp_path / "backups", key=sealing_key)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Machine.empty(tmp_path / "elsewhere") as found:
        yield found
