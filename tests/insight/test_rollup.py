"""The scheduler's turn: days are counted once, and again where something may have changed."""

from __future__ import annotations

import datetime as dt
from unittest.mock import ANY

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.inference.models import Label
from screening.insight.models import DailyFigures, ImageStatistics
from screening.insight.rollup import roll_up, today_at
from screening.patients.models import Patient
from screening.reading.models import Stance
from screening.studies.models import Image
from tests.insight.conftest import move, sign
from tests.record import rows


@pytest.fixture
def three_days_ago(clinician_a: User, patient_a: Patient) -> Image:
    image = rows.send_image(clinician_a, patient_a, seed=9)
    rows.finish(image, Label.PNEUMONIA)
    move(image, 3)
    return image


def figures(site: Site) -> dict[int, int]:
    """Days ago, and the studies of that day."""
    rows = DailyFigures.objects.filter(site=site)
    return {(today_at(site) - row.day).days: row.counts.get("studies", 0) for row in rows}


def test_every_past_day_since_the_first_study_is_counted(
    three_days_ago: Image, north: Site, south: Site
) -> None:
    assert roll_up() == 3
    assert figures(north) == {3: 1, 2: 0, 1: 0}
    assert figures(south) == {}


def test_what_is_counted_is_left_alone_until_it_may_have_changed(
    three_days_ago: Image, north: Site, clinician_a: User
) -> None:
    roll_up()
    assert roll_up() == 0
    sign(three_days_ago, clinician_a, Stance.OVERRIDES)
    hour = dt.timedelta(hours=1, minutes=1)
    DailyFigures.objects.update(counted_at=timezone.now() - hour)
    assert roll_up() == 3
    day = DailyFigures.objects.get(site=north, day=today_at(north) - dt.timedelta(days=3))
    assert day.counts["stances"] == {"overrides": 1}


def test_an_old_day_is_counted_again_when_it_is_read(
    three_days_ago: Image, north: Site, clinician_a: User
) -> None:
    move(three_days_ago, 40)
    assert roll_up() == 40
    DailyFigures.objects.update(counted_at=timezone.now() - dt.timedelta(hours=2))
    sign(three_days_ago, clinician_a, Stance.AGREES)
    assert roll_up() == 8  # the last week, and the day that was read
    day = DailyFigures.objects.get(site=north, day=today_at(north) - dt.timedelta(days=40))
    assert day.counts["stances"] == {"agrees": 1}


def test_without_time_nothing_is_done_and_the_next_turn_goes_on(
    three_days_ago: Image, north: Site
) -> None:
    assert roll_up(budget_s=0) == 0
    assert roll_up() == 3


def test_images_are_measured_once_answered(three_days_ago: Image, north: Site) -> None:
    roll_up()
    found = ImageStatistics.objects.get(image=three_days_ago)
    assert 0.1 < found.mean_grey < 0.9  # type: ignore[operator]
    assert 0.05 < found.contrast < 0.5  # type: ignore[operator]
    assert found.sharpness > 0  # type: ignore[operator]
    day = DailyFigures.objects.get(site=north, day=today_at(north) - dt.timedelta(days=3))
    assert day.counts["formats"] == {"png": 1}
    assert day.counts["sums"]["mean_grey"] == pytest.approx(found.mean_grey)


def test_a_lost_picture_is_passed_over_for_good(three_days_ago: Image) -> None:
    default_storage.delete(three_days_ago.display)
    roll_up()
    lost = ImageStatistics.objects.filter(image=three_days_ago).values()
    assert list(lost) == [
        {
            "image_id": three_days_ago.pk,
            "mean_grey": None,
            "contrast": None,
            "sharpness": None,
            "measured_at": ANY,
        }
    ]
