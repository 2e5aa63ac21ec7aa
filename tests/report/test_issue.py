"""Issuing, superseding and withdrawing; and the public page that tells of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.reading.models import Reading
from screening.reading.services import add_addendum
from screening.report import codes, selectors
from screening.report.models import Report
from screening.report.selectors import Standing
from screening.report.services import issue_report, withdraw_report
from screening.report.verification import ASKS_A_MINUTE
from screening.studies import storage
from screening.studies.models import Study
from tests.personas import ClientOf
from tests.radiographs import stored_files
from tests.record import rows
from tests.report.conftest import actions, address, sign

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nobody_has_asked_yet() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def report(clinician_a: User, study: Study, signed: Reading) -> Report:
    return issue_report(actor=clinician_a, study=study, build_url=address)


def standing(report: Report) -> Standing:
    return selectors.standing_of(Report.objects.get(pk=report.pk)).standing


# --- Issuing -----------------------------------------------------------------------------------


def test_an_issued_report_is_kept_byte_for_byte(
    clinician_a: User, study: Study, report: Report
) -> None:
    data = storage.read(report.file)
    assert data.startswith(b"%PDF-")
    assert report.sha256 == hashlib.sha256(data).hexdigest()
    assert (report.version, report.size_bytes, report.site_id) == (1, len(data), study.site_id)
    assert actions()[-1] == "report.issue"
    assert Event.objects.latest("id").detail["sha256"] == report.sha256


def test_without_a_signed_reading_there_is_nothing_to_issue(
    clinician_a: User, study: Study, media_root: Path
) -> None:
    with pytest.raises(Conflict) as caught:
        issue_report(actor=clinician_a, study=study, build_url=address)
    assert caught.value.code == "not_signed"
    assert not [name for name in stored_files(media_root) if name.startswith("reports/")]


def test_a_newer_version_supersedes_and_an_addendum_makes_out_of_date(
    clinician_a: User, study: Study, signed: Reading, report: Report
) -> None:
    assert standing(report) == Standing.CURRENT
    add_addendum(actor=clinician_a, reading=signed, text="More.")
    assert standing(report) == Standing.OUTDATED
    second = issue_report(actor=clinician_a, study=study, build_url=address, seen=1)
    assert second.version == 2
    assert second.code != report.code
    assert (standing(report), standing(second)) == (Standing.SUPERSEDED, Standing.CURRENT)


def test_a_second_reading_makes_out_of_date_too(
    admin_a: User, study: Study, report: Report
) -> None:
    sign(admin_a, study, text="I see the same.")
    assert standing(report) == Standing.OUTDATED


def test_a_double_click_issues_one_report(clinician_a: User, study: Study, report: Report) -> None:
    with pytest.raises(Conflict) as caught:
        issue_report(actor=clinician_a, study=study, build_url=address, seen=0)
    assert caught.value.code == "changed_meanwhile"
    assert Report.objects.count() == 1


def test_what_is_signed_while_it_is_drawn_is_not_left_out_unseen(
    clinician_a: User, study: Study, signed: Reading, media_root: Path
) -> None:
    def address_while_a_colleague_writes(code: str) -> str:
        add_addendum(actor=clinician_a, reading=signed, text="Wait!")
        return address(code)

    with pytest.raises(Conflict) as caught:
        issue_report(actor=clinician_a, study=study, build_url=address_while_a_colleague_writes)
    assert caught.value.code == "changed_meanwhile"
    assert not [name for name in stored_files(media_root) if name.startswith("reports/")]


def test_reports_are_never_changed(report: Report, clinician_a: User) -> None:
    withdraw_report(actor=clinician_a, report=report, reason="Wrong side.")
    for statement in (
        "UPDATE report_report SET version = 9",
        "DELETE FROM report_withdrawal",
        "UPDATE report_withdrawal SET reason = 'forged'",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_the_sweeper_knows_reports(report: Report) -> None:
    stray = storage.put("reports/00/00000000-0000-4000-8000-000000000000.pdf", b"x")
    old = (timezone.now() - timedelta(days=3)).timestamp()
    for name in (stray, report.file):
        os.utime(default_storage.path(name), (old, old))
    storage.remove_orphans()
    assert default_storage.exists(report.file)
    assert not default_storage.exists(stray)


def test_whoever_has_to_read_first_gets_no_report(
    clinician_a: User, admin_a: User, north: Site, patient_a: Patient, client_of: ClientOf
) -> None:
    set_blind_first(actor=admin_a, site=north, is_on=True)
    image = rows.send_image(clinician_a, patient_a)
    rows.finish(image, Label.PNEUMONIA, carried=rows.evidence())
    study = rows.study_of(image)
    with pytest.raises(Forbidden) as caught:
        issue_report(actor=clinician_a, study=study, build_url=address)
    assert caught.value.code == "answer_hidden"


# --- Withdrawing -------------------------------------------------------------------------------


def test_a_withdrawn_report_keeps_its_file_and_its_reason(
    clinician_a: User, report: Report
) -> None:
    withdraw_report(actor=clinician_a, report=report, reason=" Wrong side. ")
    found = selectors.standing_of(Report.objects.get(pk=report.pk))
    assert found.standing == Standing.WITHDRAWN
    assert found.withdrawal is not None
    assert found.withdrawal.reason == "Wrong side."
    assert storage.read(report.file).startswith(b"%PDF-")
    assert actions()[-1] == "report.withdraw"
    with pytest.raises(Conflict):
        withdraw_report(actor=clinician_a, report=report, reason="Again.")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\x00b"])
def test_a_reason_is_needed(reason: str, clinician_a: User, report: Report) -> None:
    with pytest.raises(InvalidInput):
        withdraw_report(actor=clinician_a, report=report, reason=reason)


# --- Pages -------------------------------------------------------------------------------------


def test_from_the_page_issue_download_withdraw(
    client_of: ClientOf, clinician_a: User, study: Study, signed: Reading
) -> None:
    client, where = client_of(clinician_a), f"/studies/{study.pk}/reports/"
    assert "No report has been issued yet." in client.get(where).content.decode()
    client.post(f"{where}issue/", {"seen": "0"})
    client.post(f"{where}issue/", {"seen": "0"})
    report = Report.objects.get()
    page = client.get(where).content.decode()
    assert "Genuine and current" in page
    response = client.get(f"/reports/{report.pk}/pdf/")
    assert response["Content-Type"] == "application/pdf"
    assert response["Content-Disposition"].startswith("attachment;")
    assert "Nordlund" not in response["Content-Disposition"]
    body = b"".join(response.streaming_content)
    assert hashlib.sha256(body).hexdigest() == report.sha256
    assert actions()[-1] == "report.download"
    client.post(f"/reports/{report.pk}/withdraw/", {"reason": "Wrong side."})
    page = client.get(where).content.decode()
    assert "Withdrawn" in page
    assert "Wrong side." in page


# --- The public page ---------------------------------------------------------------------------


def test_the_public_page_says_what_a_report_is_worth_and_nothing_of_the_patient(
    clinician_a: User, study: Study, signed: Reading, report: Report
) -> None:
    def said() -> str:
        response = Client().get(f"/verify/{report.code}/")
        assert response.status_code == 200
        page = response.content.decode()
        for secret in ("Nordlund", "Nina", "N-1001", "1962", str(study.pk), "Alice", "Wrong side"):
            assert secret not in page
        return page

    assert "Genuine and current" in said()
    add_addendum(actor=clinician_a, reading=signed, text="More.")
    assert "Something was signed since" in said()
    issue_report(actor=clinician_a, study=study, build_url=address)
    assert "Superseded" in said()
    withdraw_report(actor=clinician_a, report=report, reason="Wrong side.")
    assert "Withdrawn" in said()
    assert actions()[-1] == "report.verify"
    assert Event.objects.latest("id").detail == {"standing": "withdrawn", "same_file": None}


def test_a_code_may_be_typed_as_people_type(report: Report) -> None:
    typed = codes.readable(report.code).replace("0", "o").replace("1", "l")
    response = Client().get("/verify/", {"code": f" {typed} "})
    assert response.status_code == 302
    assert response["Location"] == f"/verify/{report.code}/"
    page = Client().get("/verify/", {"code": "ABCD-12"}).content.decode()
    assert "not a whole code" in page


def test_an_unknown_code_is_unknown_and_leaves_no_row(report: Report) -> None:
    before = Event.objects.count()
    for code in ("7k3m" * 7, "x", "é" * 28, "a" * 500):
        response = Client().get(f"/verify/{code}/")
        assert response.status_code == 404
        assert "Unknown code" in response.content.decode()
    assert Event.objects.count() == before


def test_a_file_is_compared_by_its_hash(report: Report) -> None:
    def asked(sha256: str) -> str:
        return Client().get(f"/verify/{report.code}/", {"sha256": sha256}).content.decode()

    assert "Yes: the file is the one that was issued" in asked(report.sha256)
    assert "Yes: the file" in asked(f" {report.sha256.upper()} ")
    assert "No: the file differs" in asked("0" * 64)
    assert "not a SHA-256" in asked("<script>")
    assert "<script>" not in asked("<script>").partition("<main")[2]


def test_an_address_that_asks_too_often_has_to_wait(report: Report) -> None:
    for _ in range(ASKS_A_MINUTE):
        assert Client().get(f"/verify/{report.code}/").status_code == 200
    assert Client().get(f"/verify/{report.code}/").status_code == 429
    assert Client(REMOTE_ADDR="192.0.2.7").get(f"/verify/{report.code}/").status_code == 200


def test_codes_cannot_be_guessed() -> None:
    made = {codes.new_code() for _ in range(500)}
    assert len(made) == 500
    assert all(codes.normal(codes.readable(code)) == code for code in made)
    assert len(codes.ALPHABET) ** codes.LENGTH >= 2**128
