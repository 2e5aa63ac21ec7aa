"""Studies with and without the AI's answer, at sites that read blind first and others."""

from __future__ import annotations

import pytest

from screening.accounts.models import Role, Site, User
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.studies.models import Study
from tests.personas import *  # noqa: F403  (fixtures)
from tests.personas import make_user
from tests.record import rows


@pytest.fixture
def colleague_a(north: Site) -> User:
    """A second clinician of North."""
    return make_user(north, Role.CLINICIAN, username="anna", first_name="Anna", last_name="Ames")


@pytest.fixture
def blind_north(north: Site, admin_a: User) -> Site:
    """North, with blind-first switched on before any study arrives."""
    set_blind_first(actor=admin_a, site=north, is_on=True)
    return north


@pytest.fixture
def study_a(clinician_a: User, patient_a: Patient) -> Study:
    """A study of North that the AI takes for pneumonia."""
    image = rows.send_image(clinician_a, patient_a)
    rows.finish(image, Label.PNEUMONIA, carried=rows.evidence())
    return rows.study_of(image)


@pytest.fixture
def blind_study(blind_north: Site, study_a: Study) -> Study:
    """The same, hidden from everyone who has not read it."""
    return study_a
