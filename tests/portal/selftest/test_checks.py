"""Each check of the self-test passes on a sound portal, and fails when its thing is broken."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.urls import get_resolver

from portal.selftest.checks import (
    audit,
    backup,
    configuration,
    encryption,
    headers,
    latency,
    model,
    permissions,
    rows,
    transport,
    uploads,
)
from portal.selftest.corpus import HostileFile
from portal.selftest.registry import Bench, Verdict, checks, examine
from portal.selftest.routes import routes
from screening.core.disks import Disk
from screening.inference.packages import default_package
from screening.patients.models import PatientQuerySet
from tests.audit.chains import as_committed, sql, without_triggers
from tests.permissions import matrix
from tests.record.rows import phantom

pytestmark = pytest.mark.usefixtures("undone")

PASSED, FAILED, SPARED = Verdict.PASSED, Verdict.FAILED, Verdict.NOT_APPLICABLE


def test_every_check_answers_a_demand_and_is_tried_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    for check in checks():
        assert check.asvs
        place = f"{check.run.__module__.rpartition('.')[2]}.{check.run.__name__}("
        assert place in text or f"{place[:-1]}, " in text, f"{place} is not broken in any test"


def test_what_is_open_to_everybody_is_said_alike_here_and_in_the_matrix() -> None:
    assert permissions.PUBLIC == matrix.PUBLIC


def test_settings(bench: Bench, settings: Any) -> None:
    assert configuration.settings_are_safe(bench).verdict is PASSED
    settings.SECURITY_CONTACT = "the porter"
    said = configuration.settings_are_safe(bench)
    assert said.verdict is FAILED
    assert "portal.E004" in said.sentence


def test_automatic_logoff(bench: Bench, settings: Any) -> None:
    assert configuration.sessions_end(bench).verdict is PASSED
    settings.SESSION_COOKIE_AGE = 8 * 60 * 60
    assert configuration.sessions_end(bench).verdict is FAILED


def test_https(bench: Bench, settings: Any) -> None:
    assert transport.browsers_use_https(bench).verdict is SPARED
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 0
    assert transport.browsers_use_https(bench).verdict is FAILED
    settings.SECURE_HSTS_SECONDS = 31536000
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    assert transport.browsers_use_https(bench).verdict is PASSED


def test_links_behind_the_portal(bench: Bench, settings: Any) -> None:
    assert transport.links_are_private(bench).verdict is PASSED
    settings.REDIS_URL = "redis://:password@broker.example:6379/0"
    said = transport.links_are_private(bench)
    assert said.verdict is SPARED
    assert "not encrypted" in said.sentence


def test_headers(bench: Bench, settings: Any) -> None:
    assert headers.pages_carry_headers(bench).verdict is PASSED
    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    weak = {**directives, "script-src": ["'self'", "'unsafe-inline'"]}
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": weak}
    assert "inline script" in headers.pages_carry_headers(bench).sentence


SOME = ("patients/", "patients/<uuid:patient_id>/", "site/settings/", "api/v1/patients/")


@pytest.fixture
def fewer_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are asked by the command's own test."""
    some = [route for route in routes(get_resolver().url_patterns) if route.pattern in SOME]
    monkeypatch.setattr(permissions, "routes", lambda patterns: some)


@pytest.mark.usefixtures("fewer_addresses")
class TestPermissions:
    def test_sound(self, bench: Bench) -> None:
        said = permissions.addresses_are_guarded(bench)
        assert said.verdict is PASSED, said.sentence

    def test_a_forgotten_filter(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(PatientQuerySet, "visible_to", lambda self, user: self.all())
        said = permissions.addresses_are_guarded(bench)
        if connection.vendor == "postgresql":  # The database keeps sites apart a second time.
            assert said.verdict is PASSED
            return
        assert said.verdict is FAILED
        assert "another site" in said.sentence

    def test_a_gate_that_lets_former_members_in(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from screening.accounts.middleware import ActiveMembershipMiddleware as Gate

        monkeypatch.setattr(Gate, "__call__", lambda self, request: self.get_response(request))
        said = permissions.addresses_are_guarded(bench)
        assert said.verdict is FAILED
        assert "membership was ended" in said.sentence

    def test_a_role_that_may_too_much(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        from screening.accounts import policies

        both = dict.fromkeys(("clinician", "admin"), policies.ROLE_PERMISSIONS["admin"])
        monkeypatch.setattr(policies, "ROLE_PERMISSIONS", both)
        assert permissions.addresses_are_guarded(bench).verdict is FAILED


@pytest.mark.server
def test_rows(bench: Bench, settings: Any) -> None:
    assert rows.rows_are_kept_apart(bench).verdict is PASSED
    settings.DATABASE_ROW_SECURITY = "off"
    assert rows.rows_are_kept_apart(bench).verdict is FAILED


def test_hostile_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    said = uploads.hostile_files_are_refused(bench)
    assert said.verdict is PASSED, said.sentence
    harmless = HostileFile("an X-ray", "chest.png", phantom(77))
    monkeypatch.setattr(uploads, "hostile_files", lambda: iter([harmless]))
    said = uploads.hostile_files_are_refused(bench)
    assert said.verdict is FAILED
    assert "taken in" in said.sentence
    assert "left behind" in said.sentence


def test_audit_chain(bench: Bench) -> None:
    as_committed()
    said = audit.installed_audit_holds(bench)
    assert said.verdict is PASSED, said.sentence
    with without_triggers():
        sql("UPDATE audit_event SET actor_name = 'nobody' WHERE action = 'patient.create'")
        said = audit.installed_audit_holds(bench)
        assert said.verdict is FAILED
        assert "was altered" in said.sentence


def test_audit_tampering(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    as_committed()
    said = audit.tampering_is_noticed(bench)
    assert said.verdict is PASSED, said.sentence
    with without_triggers():
        assert "did not refuse" in audit.tampering_is_noticed(bench).sentence
    monkeypatch.setattr(audit, "verify_chain", lambda *args: iter(()))
    monkeypatch.setattr(audit, "verify_no_strangers", lambda after: iter(()))
    assert "not noticed: one byte altered" in audit.tampering_is_noticed(bench).sentence


def test_stored_files(bench: Bench, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encryption.files_are_encrypted(bench).verdict is SPARED
    monkeypatch.setattr(encryption, "encrypts", lambda: True)
    said = encryption.files_are_encrypted(bench)
    assert said.verdict is FAILED
    assert "unencrypted" in said.sentence


def test_keys(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encryption.keys_are_there(bench).verdict is SPARED
    monkeypatch.setattr(encryption, "keys_in_use", lambda storage: ["20260101T000000Z-abcdef"])
    assert encryption.keys_are_there(bench).verdict is PASSED
    monkeypatch.setattr(encryption, "missing_keys", lambda storage: ["20260101T000000Z-abcdef"])
    said = encryption.keys_are_there(bench)
    assert said.verdict is FAILED
    assert "20260101T000000Z-abcdef" in said.sentence


def test_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk is, is ``screening.core.disks``'s to find out, and tested there."""
    monkeypatch.setattr(encryption, "disk_under", lambda path: Disk.UNKNOWN)
    assert encryption.disk_is_encrypted(bench).verdict is SPARED
    monkeypatch.setattr(encryption, "disk_under", lambda path: Disk.ENCRYPTED)
    both = encryption.disk_is_encrypted(bench)
    assert both.verdict is (PASSED if connection.vendor == "sqlite" else SPARED)


def test_model(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = json.loads(model.GOLDEN.read_text(encoding="utf-8"))
    fingerprint = default_package().fingerprint
    assert len(golden) > 2, "also for the version that a site may go back to"
    few = {"pictures": [31], fingerprint: {"31": golden[fingerprint]["31"]}}
    other = tmp_path / "golden.json"
    other.write_text(json.dumps(few), encoding="utf-8")
    monkeypatch.setattr(model, "GOLDEN", other)
    said = model.known_answers(bench)
    assert said.verdict is PASSED, said.sentence
    few[fingerprint]["31"]["shares"][0] -= 0.2
    other.write_text(json.dumps(few), encoding="utf-8")
    assert "got another answer" in model.known_answers(bench).sentence
    few = {"pictures": [31]}
    other.write_text(json.dumps(few), encoding="utf-8")
    assert model.known_answers(bench).verdict is SPARED


def test_latency(bench: Bench, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "IMAGES", 1)
    assert latency.answers_come_in_time(bench).verdict is PASSED
    settings.INFERENCE_SOFT_LIMIT_S = 0.001
    assert latency.answers_come_in_time(bench).verdict is FAILED


def test_backup(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup and a restore that do nothing. Real ones are part of the command's own test."""
    made = SimpleNamespace(folder=bench.folder, manifest=SimpleNamespace(size=0))
    done = SimpleNamespace(files=1, wrong=[], lost=[])
    monkeypatch.setattr(backup, "make_backup", lambda **more: made)
    monkeypatch.setattr(backup, "restore", lambda *args, **more: done)
    said = backup.a_backup_brings_everything_back(bench)
    assert said.verdict is FAILED
    assert "not what was there" in said.sentence


def test_a_check_that_breaks_has_failed(bench: Bench) -> None:
    def breaks(bench: Bench) -> Any:
        raise ZeroDivisionError("by zero")

    line = examine(replace(checks()[0], run=breaks), bench)
    assert line.outcome.verdict is FAILED
    assert "ZeroDivisionError" in line.outcome.sentence
