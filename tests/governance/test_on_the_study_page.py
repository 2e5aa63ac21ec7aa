"""The study page says at whose operating point an answer was given."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from screening.accounts.models import User
from screening.patients.models import Patient
from tests.personas import ClientOf
from tests.record import rows

pytestmark = pytest.mark.django_db


def test_the_page_says_whose_point_an_answer_was_held_against(
    clinician_a: User, patient_a: Patient, client_of: ClientOf
) -> None:
    own, chosen = rows.send_image(clinician_a, patient_a), rows.send_image(clinician_a, patient_a)
    evidence: Any = copy.deepcopy(rows.evidence())
    rows.finish(own, carried=evidence)
    evidence["operating_point"] |= {
        "threshold": 0.1234,
        "called": True,
        "origin": {"chosen": "site", "by": "Adam Ashdown", "at": "2026-03-02T10:00:00+00:00"},
    }
    rows.finish(chosen, carried=evidence)
    client = client_of(clinician_a)
    text = client.get(f"/studies/{own.study_id}/").content.decode()
    assert "not called at the operating point of 46%, the model's own." in text
    text = client.get(f"/studies/{chosen.study_id}/").content.decode()
    assert "called at the operating point of 12.34%, which Adam Ashdown chose" in text
    assert "on 2 March 2026." in text
