"""What every response carries, and what the health pages say."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from ml.package import default_path, load_package
from portal import health
from screening.accounts.models import Session, User
from screening.audit.models import Event
from screening.core.row_security import is_enforced
from screening.patients.models import Patient
from screening.studies.models import Study

pytestmark = pytest.mark.django_db


@pytest.fixture
def model_package(tmp_path: Path, settings: Any) -> Path:
    """A copy of the released package that a test may damage."""
    folder = Path(shutil.copytree(default_path(), tmp_path / "package"))
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
        "isolation": "database" if is_enforced() else "portal",
        "checks": dict.fromkeys(health.CHECKS, "ok"),
        "problems": [],
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
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["storage"] == "failed"
    (problem,) = answer.json()["problems"]
    assert (problem["check"], problem["code"]) == ("storage", "storage_failed")
    assert str(tmp_path).encode() not in answer.content


def test_a_full_disk_is_said(client: Client, model_package: Path, settings: Any) -> None:
    settings.LEAST_FREE_MB = 10**9
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "not ready"
    (problem,) = answer.json()["problems"]
    assert (problem["check"], problem["code"]) == ("storage", "disk_full")
    assert "MB are free where images are kept" in problem["message"]


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("changed", "model_hash_mismatch"),
        ("weights gone", "model_missing"),
        ("thresholds of another", "model_hash_mismatch"),
        ("manifest gone", "model_missing"),
        ("no files", "model_invalid"),
    ],
)
def test_a_damaged_model_package_is_named(
    client: Client, model_package: Path, damage: str, code: str
) -> None:
    weights, manifest = model_package / "model.tflite", model_package / "manifest.json"
    if damage == "changed":
        weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    elif damage == "weights gone":
        weights.unlink()
    elif damage == "thresholds of another":
        trust = json.loads((model_package / "trust.json").read_text())
        trust["fitted_for"]["lungs"] = "0" * 64
        (model_package / "trust.json").write_text(json.dumps(trust))
    elif damage == "manifest gone":
        manifest.unlink()
    else:
        manifest.write_text('{"name": "thorascreen", "version": "7.0", "sha256": {}}')
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["model"] == "failed"
    (problem,) = answer.json()["problems"]
    shipped = load_package()
    named = {"manifest gone": "package", "no files": "thorascreen 7.0"}.get(
        damage, f"{shipped.name} {shipped.version}"
    )
    assert (problem["model"], problem["code"]) == (named, code)
    assert problem["message"].endswith(".")
    assert str(model_package).encode() not in answer.content


def test_a_model_that_was_put_back_is_ready_again(client: Client, model_package: Path) -> None:
    aside = model_package.rename(model_package.with_name("aside"))
    assert client.get("/readyz").status_code == 503
    aside.rename(model_package)
    assert client.get("/readyz").json()["status"] == "ready"


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
    assert health.check_model() == []


def test_the_schema_and_its_page_ask_who_is_there(client: Client) -> None:
    for path in ("/api/v1/schema/", "/api/v1/docs/"):
        assert client.get(path).status_code == 401


@pytest.mark.parametrize(
    ("proxies", "said", "found"),
    [
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "192.0.2.66, 203.0.113.9", "203.0.113.9"),  # The caller wrote the first.
        (2, "192.0.2.66, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (1, "2001:db8::9", "2001:db8::9"),
        (1, "", "127.0.0.1"),
        (1, "nonsense", "127.0.0.1"),
        (2, "203.0.113.9", "127.0.0.1"),
    ],
)
def test_behind_proxies_the_address_is_the_one_that_the_outermost_saw(
    client: Client, db: None, settings: Any, proxies: int, said: str, found: str
) -> None:
    settings.PROXIES = proxies
    client.post("/login/", {"username": "x", "password": "y"}, headers={"X-Forwarded-For": said})
    assert Event.objects.get(action="session.refuse").remote_addr == found
