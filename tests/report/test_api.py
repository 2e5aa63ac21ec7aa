"""Reports over the API."""

from __future__ import annotations

import hashlib

import pytest
from django.test import Client

from screening.accounts.models import User
from screening.accounts.services.tokens import issue_token
from screening.reading.models import Reading
from screening.report.models import Report
from screening.studies.models import Study

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(clinician_a: User) -> Client:
    return Client(headers={"Authorization": f"Token {issue_token(user=clinician_a)}"})


def test_issue_list_and_fetch(alice: Client, study: Study, signed: Reading) -> None:
    where = f"/api/v1/studies/{study.pk}/reports/"
    assert alice.get(where).json() == []
    made = alice.post(where, {"seen": 0}, content_type="application/json")
    assert made.status_code == 201
    body = made.json()
    report = Report.objects.get()
    assert body["standing"] == "current"
    assert (body["version"], body["code"], body["sha256"]) == (1, report.code, report.sha256)
    assert body["verify"] == f"http://testserver/verify/{report.code}/"
    assert alice.get(where).json() == [body]
    pdf = alice.get(body["pdf"], headers={"Accept": "application/pdf"})
    assert pdf["Content-Type"] == "application/pdf"
    assert hashlib.sha256(b"".join(pdf.streaming_content)).hexdigest() == report.sha256
    again = alice.post(where, {"seen": 0}, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "changed_meanwhile")


def test_unsigned_there_is_a_preliminary_print_only(alice: Client, study: Study) -> None:
    where = f"/api/v1/studies/{study.pk}/reports/"
    refused = alice.post(where)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_signed")
    pdf = alice.get(f"{where}preliminary/", headers={"Accept": "application/pdf"})
    assert pdf.status_code == 200
    assert pdf.content.startswith(b"%PDF-")
