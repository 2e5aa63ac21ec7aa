"""Where to report a weakness, and that nothing is to be indexed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client


def test_whoever_finds_a_weakness_learns_whom_to_tell(db: None, settings: Any) -> None:
    settings.SECURITY_CONTACT = "mailto:security@hospital.example"
    answer = Client().get("/.well-known/security.txt")
    said = dict(line.split(": ", 1) for line in answer.content.decode().splitlines())
    assert said["Contact"] == "mailto:security@hospital.example"
    until = datetime.strptime(said["Expires"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(days=100) < until - datetime.now(UTC) < timedelta(days=365)
    assert answer["Content-Type"].startswith("text/plain")


def test_where_nobody_was_named_there_is_no_such_file(db: None) -> None:
    assert Client().get("/.well-known/security.txt").status_code == 404


def test_search_engines_are_kept_out(db: None) -> None:
    assert b"Disallow: /" in Client().get("/robots.txt").content
