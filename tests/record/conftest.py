"""Studies of the two sites in the states that pages show."""

from __future__ import annotations

import pytest

from screening.accounts.models import User
from screening.patients.models import Patient
from screening.studies.models import Image
from tests.personas import *  # noqa: F403  (fixtures)
from tests.record import rows


@pytest.fixture
def image_a(clinician_a: User, patient_a: Patient) -> Image:
    """A queued image of North's patient."""
    return rows.send_image(clinician_a, patient_a, name="nina.png")


@pytest.fixture
def image_b(clinician_b: User, patient_b: Patient) -> Image:
    """A queued image of South's patient."""
    return rows.send_image(clinician_b, patient_b, name="sancho.png")
