"""A site's operating point is applied while the answer is computed, and kept with it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from screening.accounts.models import Site, User
from screening.inference import points, services
from screening.inference.engine import ModelIdentity
from screening.inference.models import Result
from screening.inference.points import SitePoint
from screening.inference.replay import replay_result
from screening.patients.models import Patient
from tests.inference.stages import job_of
from tests.radiographs import receive

pytestmark = pytest.mark.django_db

ORIGIN: dict[str, Any] = {"chosen": "site", "by": "Adam Ashdown", "at": "2026-11-21T10:00:00+00:00"}


@pytest.fixture
def choices() -> Iterator[dict[UUID, float]]:
    """What sites have chosen; whoever chooses is replaced by this dictionary."""
    chosen: dict[UUID, float] = {}
    before = list(points._providers)

    def provide(site_id: UUID, model: ModelIdentity) -> SitePoint | None:
        assert model.name
        threshold = chosen.get(site_id)
        return SitePoint(threshold, ORIGIN) if threshold is not None else None

    points._providers[:] = []
    points.register_provider(provide)
    yield chosen
    points._providers[:] = before


def answer(user: User, patient: Patient) -> Result:
    image = receive(user, patient)
    services.run_job(job_of(image).pk)
    return Result.objects.get(image=image)


def test_without_a_choice_the_packages_point_is_used_and_nothing_is_noted(
    choices: dict[UUID, float], clinician_a: User, patient_a: Patient
) -> None:
    result = answer(clinician_a, patient_a)
    assert "origin" not in result.evidence["operating_point"]
    assert points.stored_point(result.evidence) is None


@pytest.mark.parametrize("threshold", [1e-9, 0.999999])
def test_the_sites_threshold_decides_what_is_called(
    choices: dict[UUID, float],
    north: Site,
    clinician_a: User,
    patient_a: Patient,
    threshold: float,
) -> None:
    choices[north.pk] = threshold
    result = answer(clinician_a, patient_a)
    point = result.evidence["operating_point"]
    assert point["threshold"] == threshold
    assert point["origin"] == ORIGIN
    assert point["called"] is (result.p_covid >= threshold)
    assert point["called"] is (threshold < 0.5)
    # What it is worth is said of this threshold, not of the package's.
    assert (point["sensitivity"] > 0.99) is (threshold < 0.5)


def test_another_sites_choice_is_none_of_ours(
    choices: dict[UUID, float], south: Site, clinician_a: User, patient_a: Patient
) -> None:
    choices[south.pk] = 1e-9
    assert "origin" not in answer(clinician_a, patient_a).evidence["operating_point"]


def test_a_result_replays_with_the_point_it_was_made_with(
    choices: dict[UUID, float], north: Site, clinician_a: User, patient_a: Patient
) -> None:
    choices[north.pk] = 1e-9
    result = answer(clinician_a, patient_a)
    choices[north.pk] = 0.9
    replayed = replay_result(result)
    assert replayed.identical
    assert replayed.changed == ()


def test_a_point_that_was_altered_afterwards_is_found_out(
    choices: dict[UUID, float], north: Site, clinician_a: User, patient_a: Patient
) -> None:
    choices[north.pk] = 1e-9
    result = answer(clinician_a, patient_a)
    touched = copy.deepcopy(result.evidence)
    touched["operating_point"]["origin"]["by"] = "Somebody Else"
    Result.objects.filter(pk=result.pk).update(evidence=touched)
    result.refresh_from_db()
    replayed = replay_result(result)
    assert not replayed.identical
    assert "output_sha256" in replayed.changed
