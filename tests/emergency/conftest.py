"""Bob of South, who needs the record of a patient of North."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from screening.accounts.models import Site, User
from screening.emergency.models import EmergencyAccess
from screening.patients.models import Patient
from tests.personas import *  # noqa: F403  (fixtures)
from tests.personas import ClientOf

REASON = "Brought in unconscious; needs the earlier film before intubation."

Opener = Callable[..., Any]


@pytest.fixture
def bob(clinician_b: User, client_of: ClientOf) -> Client:
    return client_of(clinician_b)


@pytest.fixture
def ask(bob: Client, north: Site) -> Opener:
    """Bob sends the form; what is not given is not filled in."""

    def send(**fields: str) -> Any:
        return bob.post("/emergency/", {"site": str(north.pk), "reason": REASON, **fields})

    return send


@pytest.fixture
def opened(
    ask: Opener, admin_a: User, admin_b: User, patient_a: Patient, clinician_b: User
) -> EmergencyAccess:
    """Bob has opened the record of Nina Nordlund."""
    assert ask(mrn=patient_a.mrn).status_code == 302
    return EmergencyAccess.objects.get(user=clinician_b)
