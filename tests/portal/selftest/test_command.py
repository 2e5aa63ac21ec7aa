"""``manage.py selftest`` as an operator runs it: on an installed portal, which it leaves alone."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypdf
import pytest
from django.conf import settings
from django.db import connection

from portal.selftest.document import draw
from portal.selftest.registry import Line, checks, failed, not_applicable, passed
from portal.selftest.running import Report
from screening.accounts.models import Site

ROOT = Path(__file__).resolve().parents[3]


def run(folder: Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, on the database of this test."""
    return subprocess.run(
        [sys.executable, "manage.py", "selftest", "--output", str(folder), *more],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "portal.settings.test",
            "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
            "TEST_MEDIA_ROOT": str(settings.MEDIA_ROOT),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
def test_every_check_on_an_installed_portal_and_nothing_stays_behind(tmp_path: Path) -> None:
    Site.objects.create(name="The buyer's hospital")
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "selftest.json").read_text(encoding="utf-8"))
    assert {line["key"] for line in told["lines"]} == {check.key for check in checks()}
    assert told["failed"] == 0
    [asked] = [line["figures"] for line in told["lines"] if line["key"] == "permissions"]
    assert asked["addresses"] > 100
    assert asked["requests"] > 1000
    assert list(Site.objects.values_list("name", flat=True)) == ["The buyer's hospital"]
    assert not list(Path(settings.MEDIA_ROOT).rglob("*.*"))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'selftest%'")
            assert cursor.fetchall() == []


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_a_failure_is_the_exit_status(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "settings", SECURITY_CONTACT="the porter")
    assert done.returncode != 0
    assert "FAIL" in done.stdout
    assert "portal.E004" in done.stdout


def _report() -> Report:
    outcomes = [
        passed("All as it should be.", requests=1234),
        failed("Something is not as it should be: " + "a long explanation, " * 12),
        not_applicable("Not here."),
    ]
    lines = tuple(Line(check, outcomes[place % 3], 1.5) for place, check in enumerate(checks() * 2))
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    return Report(now, now, {"ThoraScreen": "1", "Database": "postgresql 16"}, lines)


@pytest.mark.once
def test_the_report_says_every_line_with_its_demands() -> None:
    report: Any = _report()
    reader = pypdf.PdfReader(io.BytesIO(draw(report)))
    text = "\n".join(page.extract_text() for page in reader.pages)
    words = " ".join(text.split())
    for line in report.lines:
        assert line.check.title in words
        assert line.check.asvs[0] in words
    assert f"{report.failures} FAILED" in words
    assert "164.312" in words
    assert len(reader.pages) >= 2
