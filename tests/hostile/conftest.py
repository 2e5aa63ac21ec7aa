"""What the entrances are given, and the count of it at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from django.test import Client

from screening.accounts.models import User
from screening.audit.models import Event
from screening.inference.models import Job
from screening.patients.models import Patient
from screening.studies.models import Image, Study
from tests.personas import *  # noqa: F403
from tests.personas import ClientOf
from tests.radiographs import stored_files

COUNTED: Counter[str] = Counter()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if COUNTED:
        told = ", ".join(f"{count} {what}" for what, count in sorted(COUNTED.items()))
        terminalreporter.write_line(f"hostile corpus: {told}")


@pytest.fixture
def count() -> Callable[[str], None]:
    """Counts what a test has seen to be harmless."""

    def add(what: str) -> None:
        COUNTED[what] += 1

    return add


@pytest.fixture
def uploads(settings: Any, tmp_path: Path) -> Path:
    """Where files lie while they arrive."""
    folder = tmp_path / "arriving"
    folder.mkdir()
    settings.FILE_UPLOAD_TEMP_DIR = str(folder)
    return folder


@pytest.fixture
def browser(client_of: ClientOf, clinician_a: User) -> Client:
    client = client_of(clinician_a)
    client.raise_request_exception = False
    return client


@pytest.fixture
def nothing_is_left(media_root: Path, uploads: Path) -> Callable[[], None]:
    """Fails where a refused file left anything behind."""

    def check() -> None:
        assert stored_files(media_root) == []
        assert list(uploads.iterdir()) == []
        assert not Study.objects.exists()
        assert not Image.objects.exists()
        assert not Job.objects.exists()
        assert not Event.objects.filter(action__in=("study.create", "image.receive")).exists()
        programs = [child for child in psutil.Process().children() if "child.py" in _words(child)]
        assert len(programs) <= 1, "more decoders than there may be"

    return check


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture
def page(patient_a: Patient) -> Callable[[], str]:
    """Where the upload page's script sends one file, into a study of its own."""
    return lambda: f"/patients/{patient_a.pk}/uploads/{uuid4()}/"
