"""Whoever sends without end is asked to wait, and nobody else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from screening.accounts.models import User
from screening.audit.models import Event, Outcome
from screening.patients.models import Patient
from screening.studies.gate import UploadRefused
from screening.studies.models import Image, UploadCount
from screening.studies.tasks import sweep_orphans
from tests import radiographs
from tests.personas import ClientOf, make_user
from tests.radiographs import receive, stored_files, upload_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Twenty minutes past an hour, which so does not end in the middle of a test."""
    now = [datetime(2026, 3, 14, 10, 20, tzinfo=UTC)]
    monkeypatch.setattr(timezone, "now", lambda: now[0])
    return now


def refused(actor: User, patient: Patient, data: bytes | None = None) -> str:
    with pytest.raises(UploadRefused) as caught:
        receive(actor, patient, data)
    return str(caught.value.code)


def test_after_so_many_files_the_next_has_to_wait(
    client_of: ClientOf, clinician_a: User, patient_a: Patient, media_root: Path, settings: Any
) -> None:
    settings.UPLOADS_PER_HOUR = 3
    receive(clinician_a, patient_a)
    assert refused(clinician_a, patient_a, b"a letter") == "unsupported_type"
    receive(clinician_a, patient_a)
    before = stored_files(media_root)
    answer = client_of(clinician_a).post(
        "/api/v1/studies/", {"patient": patient_a.pk, "images": upload_of(radiographs.png())}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_uploads")
    assert "40 minutes" in answer.json()["message"]
    assert refused(clinician_a, patient_a) == "too_many_uploads"
    assert stored_files(media_root) == before
    assert Image.objects.count() == 2


def test_the_size_counts_as_well(clinician_a: User, patient_a: Patient, settings: Any) -> None:
    settings.UPLOAD_MB_PER_HOUR = 1
    receive(clinician_a, patient_a)
    assert refused(clinician_a, patient_a, bytes(1_100_000)) == "too_many_uploads"


def test_only_the_sender_waits_and_only_for_this_hour(
    clinician_a: User, patient_a: Patient, settings: Any, clock: list[datetime]
) -> None:
    settings.UPLOADS_PER_HOUR = 1
    receive(clinician_a, patient_a)
    assert refused(clinician_a, patient_a) == "too_many_uploads"
    receive(make_user(patient_a.site), patient_a)
    clock[0] += timedelta(minutes=40)
    receive(clinician_a, patient_a)


def test_the_first_file_too_many_is_one_line_in_the_audit(
    clinician_a: User, patient_a: Patient, settings: Any
) -> None:
    settings.UPLOADS_PER_HOUR = 1
    receive(clinician_a, patient_a)
    for _ in range(3):
        refused(clinician_a, patient_a)
    event = Event.objects.get(outcome=Outcome.DENIED)
    assert (event.action, event.actor_id) == ("image.receive", clinician_a.pk)
    assert event.detail == {"code": "too_many_uploads"}


def test_nought_is_no_limit(clinician_a: User, patient_a: Patient, settings: Any) -> None:
    settings.UPLOADS_PER_HOUR = settings.UPLOAD_MB_PER_HOUR = 0
    for _ in range(3):
        receive(clinician_a, patient_a)
    count = UploadCount.objects.get()
    assert (count.files, count.size_bytes) == (3, 3 * len(radiographs.png()))


def test_counts_of_yesterday_are_forgotten(
    clinician_a: User, patient_a: Patient, clock: list[datetime]
) -> None:
    receive(clinician_a, patient_a)
    clock[0] += timedelta(days=2)
    sweep_orphans()
    assert not UploadCount.objects.exists()
