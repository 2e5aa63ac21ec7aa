"""Studies on the list: plain ones, flagged ones, and a site that reads blind first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.studies.models import Study
from screening.worklist.models import Entry, Order, Rule
from tests.personas import *  # noqa: F403  (fixtures)
from tests.personas import make_user
from tests.record import rows

NewStudy = Callable[..., Study]


def evidence_of(*, called: bool) -> dict[str, object]:
    found = rows.evidence()
    point = found["operating_point"]
    assert isinstance(point, dict)
    return {**found, "operating_point": {**point, "called": called}}


def send_study(
    actor: User,
    patient: Patient,
    *,
    flagged: bool | None = False,
    minutes_ago: float = 0,
    seed: int = 1,
) -> Study:
    """A study that the AI has flagged or not; with ``None`` it has not looked yet."""
    image = rows.send_image(actor, patient, seed=seed)
    if flagged is not None:
        label = Label.COVID if flagged else Label.NORMAL
        rows.finish(image, label, carried=evidence_of(called=flagged))
    if minutes_ago:
        arrived = timezone.now() - timedelta(minutes=minutes_ago)
        Study.objects.filter(pk=image.study_id).update(created_at=arrived)
        Entry.objects.filter(pk=image.study_id).update(arrived_at=arrived)
    return rows.study_of(image)


@pytest.fixture
def new_study(clinician_a: User, patient_a: Patient) -> NewStudy:
    """Sends studies of North's patient: ``new_study(flagged=True, minutes_ago=5)``."""

    def send(**options: object) -> Study:
        return send_study(clinician_a, patient_a, **options)  # type: ignore[arg-type]

    return send


@pytest.fixture
def anna(north: Site) -> User:
    """A second clinician of North."""
    return make_user(north, username="anna", first_name="Anna", last_name="Ames")


@pytest.fixture
def flags_first(north: Site) -> Rule:
    """North lets flagged studies go first, by an hour at most."""
    return Rule.objects.create(site=north, order=Order.FLAGS_FIRST, cap_minutes=60)


@pytest.fixture
def blind_north(north: Site, admin_a: User) -> Site:
    """North reads blind first, from before any study arrives."""
    set_blind_first(actor=admin_a, site=north, is_on=True)
    return north
