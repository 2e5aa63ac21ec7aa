"""The audit verified by the clock and by hand, its anchors kept, and administrators told."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import ipaddress
import json
import ssl
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core import mail
from django.core.management import CommandError, call_command

from screening.accounts.models import Site, User
from screening.audit import verification
from screening.audit.anchors import FILE, read_anchors, send_anchors, write_anchors
from screening.audit.models import Check, Event, Link
from screening.audit.services import record
from screening.audit.verification import chains
from screening.oversight import watch
from screening.patients.models import Patient
from tests.audit.chains import as_committed, without_triggers
from tests.personas import ClientOf


@pytest.fixture
def looked_at(patient_a: Patient, clinician_a: User) -> Patient:
    for _ in range(6):
        record("patient.view", patient_a, actor=clinician_a)
    as_committed()
    return patient_a


def tamper() -> int:
    event = Event.objects.filter(action="patient.view").order_by("pk")[2]
    with without_triggers():
        Event.objects.filter(pk=event.pk).update(actor_name="nobody")
    return event.pk


class TestCommand:
    def test_it_says_that_all_is_well(self, looked_at: Patient, capsys: Any) -> None:
        call_command("verify_audit")
        assert "6 events in" in capsys.readouterr().out
        assert Event.objects.get(action="audit.verify").outcome == "ok"

    @pytest.mark.parametrize("by", ["name", "id", "nothing"])
    def test_it_names_the_event_and_fails(
        self, looked_at: Patient, north: Site, capsys: Any, by: str
    ) -> None:
        number = tamper()
        asked = {"name": ["--site", "north hospital"], "id": ["--site", str(north.pk)]}
        with pytest.raises(CommandError) as raised:
            call_command("verify_audit", *asked.get(by, []))
        assert raised.value.returncode == 1
        out = capsys.readouterr().out
        assert "North Hospital" in out
        assert f"Event {number} at place 3 was altered" in out

    def test_another_site_is_not_blamed(self, looked_at: Patient, south: Site) -> None:
        tamper()
        call_command("verify_audit", "--site", "South Hospital")
        call_command("verify_audit", "--site", "none")
        with pytest.raises(CommandError, match="no site called"):
            call_command("verify_audit", "--site", "West")


class TestByTheClock:
    def test_a_long_one_is_done_in_parts(
        self, looked_at: Patient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(verification, "BATCH", 2)
        monkeypatch.setattr(watch, "SLICE_S", 0.0)
        turns = 1
        while not watch.verify_on(full=True):
            turns += 1
        assert turns >= 3
        [check] = Check.objects.all()
        assert (check.events, check.findings) == (6, [])
        # The next quick one reads only what came since: the event about the verification itself.
        monkeypatch.setattr(watch, "SLICE_S", 60.0)
        as_committed()
        assert watch.verify_on(full=False)
        assert Check.objects.get(full=False).events == 1

    def test_administrators_of_the_site_are_told_once(
        self,
        looked_at: Patient,
        admin_a: User,
        admin_b: User,
        client_of: ClientOf,
        settings: Any,
    ) -> None:
        settings.EMAIL_HOST = "mail.example.org"
        number = tamper()
        assert watch.verify_on(full=True)
        as_committed()
        assert watch.verify_on(full=True)
        [letter] = mail.outbox
        assert letter.to == [admin_a.email]
        assert f"Event {number} at place 3 was altered" in letter.body
        notices = client_of(admin_a).get("/notifications/").content.decode()
        assert notices.count("The audit is not as it was written") == 1
        assert 'href="/site/audit/"' in notices
        page = client_of(admin_a).get("/site/audit/").content.decode()
        assert 'data-audit="broken"' in page
        assert f"Event {number} at place 3 was altered" in page
        assert 'data-audit="intact"' in client_of(admin_b).get("/site/audit/").content.decode()

    def test_a_portal_that_never_verified_says_so(self, client_of: ClientOf, admin_a: User) -> None:
        assert 'data-audit="late"' in client_of(admin_a).get("/site/audit/").content.decode()


class TestAnchors:
    def test_a_line_for_each_chain_that_has_moved(
        self, looked_at: Patient, north: Site, settings: Any
    ) -> None:
        assert [anchor.sequence for anchor in write_anchors(chains())] == [6]
        assert write_anchors(chains()) == []
        record("patient.view", looked_at)
        as_committed()
        watch.keep_anchors()
        file = Path(settings.AUDIT_ANCHORS) / FILE
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [line["sequence"] for line in lines] == [6, 7]
        assert lines[1]["hash"] == Link.objects.get(sequence=7).hash
        assert set(read_anchors()) == {north.pk}

    def test_a_file_that_somebody_wrote_to_is_named(
        self, looked_at: Patient, settings: Any, capsys: Any
    ) -> None:
        write_anchors(chains())
        with (Path(settings.AUDIT_ANCHORS) / FILE).open("a") as file:
            file.write('{"chain": 1}\n')
        with pytest.raises(CommandError):
            call_command("verify_audit")
        assert "line 2 of anchors.jsonl is not an anchor" in capsys.readouterr().out


class Receiver(HTTPServer):
    """Another machine; answers with ``status`` and keeps what it was sent."""

    status = 204
    taken: list[tuple[bytes, str]]


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 204:
            self.server.taken.append((body, self.headers["X-ThoraScreen-Signature"]))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def receiver(tmp_path: Path, settings: Any) -> Iterator[Receiver]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "ca.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = Receiver(("127.0.0.1", 0), Handler)
    server.taken = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    settings.AUDIT_WEBHOOK = f"https://127.0.0.1:{server.server_port}/anchors?site=1"
    settings.AUDIT_WEBHOOK_KEY = "k" * 40
    settings.AUDIT_WEBHOOK_CA = str(tmp_path / "ca.pem")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.once
class TestWebhook:
    def test_each_line_is_sent_once_and_signed(
        self, looked_at: Patient, receiver: Receiver
    ) -> None:
        watch.keep_anchors()
        watch.keep_anchors()
        record("patient.view", looked_at)
        watch.keep_anchors()
        assert [json.loads(body)["sequence"] for body, _ in receiver.taken] == [6, 7]
        for body, signature in receiver.taken:
            expected = hmac.new(b"k" * 40, body, hashlib.sha256).hexdigest()
            assert signature == f"sha256={expected}"

    def test_what_was_not_taken_is_sent_again(self, looked_at: Patient, receiver: Receiver) -> None:
        receiver.status = 503
        watch.keep_anchors()
        record("patient.view", looked_at)
        with pytest.raises(CommandError):
            call_command("anchor_audit")
        receiver.status = 204
        watch.keep_anchors()
        [(body, _)] = receiver.taken
        assert [json.loads(line)["sequence"] for line in body.splitlines()] == [6, 7]

    def test_a_machine_that_cannot_prove_its_name_gets_nothing(
        self, looked_at: Patient, receiver: Receiver, settings: Any
    ) -> None:
        settings.AUDIT_WEBHOOK_CA = ""
        write_anchors(chains())
        assert not send_anchors()
        assert receiver.taken == []
