"""What every response carries, and what the health pages say."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from portal import health
from screening.accounts.models import User
from screening.patients.models import Patient
from screening.studies.models import Study

pytestmark = pytest.mark.django_db


@pytest.fixture
def model_package(tmp_path: Path, settings: Any) -> Path:
    """A small package with a right manifest."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    manifest = {"sha256": {"weights.bin": digest}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    settings.THORASCREEN_MODEL = str(folder)
    return folder


def test_a_page_has_a_strict_policy_and_is_never_cached(client: Client) -> None:
    answer = client.get("/healthz")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "unsafe" not in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"
    assert "camera=()" in answer["Permissions-Policy"]
    assert answer["Cache-Control"] == "no-store, private"


def test_a_request_keeps_its_id(client: Client) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "abc-123-def"})["X-Request-ID"] == (
        "abc-123-def"
    )


@pytest.mark.parametrize("given", ["", "short", "a" * 65, "abc\tdef-12345", "<script>alert(1)"])
def test_a_strange_id_is_replaced(client: Client, given: str) -> None:
    found = client.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"]
    assert found != given
    assert len(found) == 32


def test_two_requests_have_two_ids(client: Client) -> None:
    assert client.get("/healthz")["X-Request-ID"] != client.get("/healthz")["X-Request-ID"]


def test_each_request_leaves_one_line_without_names_or_tokens(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="portal.requests"):
        client.get(
            "/invitation/very-secret-token/?q=Nordlund", headers={"X-Request-ID": "abcd-1234"}
        )
    [record] = [record for record in caplog.records if record.name == "portal.requests"]
    assert record.getMessage().startswith("GET /invitation/<str:token>/ ")
    assert "very-secret-token" not in caplog.text
    assert "Nordlund" not in caplog.text


def test_a_session_is_renewed_by_use_but_not_by_every_picture(
    client: Client, clinician_a: User, settings: Any
) -> None:
    client.force_login(clinician_a)
    client.get("/")
    [session] = Session.objects.all()
    early = session.expire_date
    assert settings.SESSION_COOKIE_AGE <= 60 * 60
    client.get("/")
    session.refresh_from_db()
    assert session.expire_date == early, "written again within the minute"
    settings.SESSION_RENEW_AFTER_S = 0
    client.get("/")
    session.refresh_from_db()
    assert session.expire_date > early


def test_a_page_that_asks_for_news_keeps_no_unattended_session_alive(
    client: Client, clinician_a: User, patient_a: Patient, settings: Any
) -> None:
    study = Study.objects.create(site=patient_a.site, patient=patient_a, uploaded_by=clinician_a)
    client.force_login(clinician_a)
    settings.SESSION_RENEW_AFTER_S = 0
    client.get(f"/studies/{study.pk}/")
    [session] = Session.objects.all()
    early = session.expire_date
    assert client.get(f"/studies/{study.pk}/state/").status_code == 200  # as a page does
    session.refresh_from_db()
    assert session.expire_date == early
    client.get(f"/studies/{study.pk}/")
    session.refresh_from_db()
    assert session.expire_date > early


def test_nobody_is_given_a_session_for_looking(client: Client) -> None:
    client.get("/healthz")
    client.get("/login/")
    assert not Session.objects.exists()


def test_a_giant_request_is_refused_before_it_is_read(client: Client, settings: Any) -> None:
    settings.MAX_REQUEST_BYTES = 1000
    answer = client.post("/healthz", b"x" * 1001, content_type="application/octet-stream")
    assert answer.status_code == 413
    assert answer.json()["code"] == "request_too_large"


def test_the_portal_lives_without_a_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_ready_when_every_part_is(client: Client, model_package: Path) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.json()
    assert answer.json() == {
        "status": "ready",
        "checks": {"database": "ok", "broker": "ok", "storage": "ok", "model": "ok"},
    }


def test_a_missing_broker_is_named(client: Client, model_package: Path, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/secret-place.sock"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["broker"] == "failed"
    assert answer.json()["checks"]["database"] == "ok"
    assert b"secret-place" not in answer.content


def test_a_storage_that_cannot_be_written_is_named(
    client: Client, model_package: Path, settings: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.MEDIA_ROOT = str(tmp_path / "file")
    assert client.get("/readyz").json()["checks"]["storage"] == "failed"


@pytest.mark.parametrize("damage", ["changed", "weights gone", "manifest gone", "no files"])
def test_a_damaged_model_package_is_named(client: Client, model_package: Path, damage: str) -> None:
    if damage == "changed":
        (model_package / "weights.bin").write_bytes(b"Weights")
    elif damage == "weights gone":
        (model_package / "weights.bin").unlink()
    elif damage == "manifest gone":
        (model_package / "manifest.json").unlink()
    else:
        (model_package / "manifest.json").write_text('{"sha256": {}}')
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["model"] == "failed"


def test_no_secret_reaches_the_log_of_a_failed_probe(
    client: Client, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = "redis://:hunter-2-hunter@127.0.0.1:1/0"
    with caplog.at_level(logging.DEBUG):
        client.get("/readyz")
    assert "not ready: broker" in caplog.text
    assert "hunter" not in caplog.text


def test_the_shipped_model_is_the_default(settings: Any) -> None:
    settings.THORASCREEN_MODEL = ""
    assert (health.model_folder() / "manifest.json").exists()


def test_the_schema_and_its_page_ask_who_is_there(client: Client) -> None:
    for path in ("/api/v1/schema/", "/api/v1/docs/"):
        assert client.get(path).status_code == 401
