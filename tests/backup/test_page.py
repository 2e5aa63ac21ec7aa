"""What administrators are shown of backups, keys and disks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from screening.accounts.models import User
from screening.backup.models import Run
from screening.core.keyring import make_key
from screening.studies import storage
from tests.personas import ClientOf

pytestmark = [pytest.mark.once, pytest.mark.django_db]


def test_an_administrator_sees_age_failures_and_missing_keys(
    keys: Path, client_of: ClientOf, admin_a: User, settings: Any
) -> None:
    [gone] = list(keys.iterdir())
    storage.put("images/ab/one.png", b"x")
    gone.unlink()
    locks = make_key(keys)
    now = timezone.now()
    for days, code in ((1, "backup_not_written"), (2, "")):
        ended = now - timedelta(days=days)
        Run.objects.create(started_at=ended, finished_at=ended, code=code, file_count=42)
    settings.BACKUP_TO = "/somewhere"
    page = client_of(admin_a).get("/site/backups/").content.decode()
    assert 'data-code="backup_not_written"' in page
    assert "2\xa0days" in page
    assert gone.stem in page
    assert "Missing" in page
    assert locks.fingerprint in page
    assert locks.secret.hex() not in page


def test_without_a_daily_backup_it_says_so(client_of: ClientOf, admin_a: User) -> None:
    page = client_of(admin_a).get("/site/backups/").content.decode()
    assert "No daily backup is set up" in page
    assert "not encrypted by the portal" in page
