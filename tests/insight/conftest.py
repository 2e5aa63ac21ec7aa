"""Studies with answers, readings and days that were counted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.inference.models import Label
from screening.insight.counting import SHARE_EDGES, Counts, bin_of
from screening.insight.models import DailyFigures
from screening.patients.models import Patient
from screening.reading.models import Reading, Stance
from screening.studies.models import Image, Study
from tests.personas import *  # noqa: F403  (fixtures)
from tests.record import rows

MakeDay = Callable[..., DailyFigures]


@pytest.fixture
def day_of_north(clinician_a: User, patient_a: Patient) -> list[Image]:
    """Today at North: two answers, a refusal, a failure, and one image still waiting."""
    images = [rows.send_image(clinician_a, patient_a, seed=seed) for seed in range(1, 6)]
    rows.finish(images[0], Label.PNEUMONIA)
    rows.finish(images[1], Label.NORMAL)
    rows.refuse(images[2], "no_lungs")
    rows.fail(images[3], "timed_out")
    return images


def sign(image: Image, reader: User, stance: Stance, *, draft: bool = False) -> Reading:
    """A signed reading of record, as the reading room leaves it; or a draft of one."""
    now = timezone.now()
    return Reading.objects.create(
        study_id=image.study_id,
        site_id=image.study.site_id,
        reader=reader,
        saved_at=now,
        impression="normal",
        stance=stance,
        reason="Seen otherwise." if stance == Stance.OVERRIDES else "",
        signed_at=None if draft else now,
        of_record=not draft,
        ai_label="pneumonia",
    )


def move(image: Image, days: int) -> None:
    """Let an image and its study have arrived so many days ago."""
    then = timezone.now() - dt.timedelta(days=days)
    Study.objects.filter(pk=image.study_id).update(created_at=then)
    Image.objects.filter(pk=image.pk).update(created_at=then)


@pytest.fixture
def make_day(north: Site) -> MakeDay:
    """A counted day of North with so many answers, COVID-19 having ``share`` in each of them."""

    def make(
        ago: int,
        answers: int = 20,
        share: float = 0.05,
        doubts: dict[str, int] | None = None,
        **looks: int,
    ) -> DailyFigures:
        counts = Counts(studies=answers, images=answers)
        counts.statuses["done"] = answers
        counts.labels["covid" if share > 0.5 else "normal"] = answers
        counts.models["phantom-net 1.2.0"] = answers
        for name, value in (("covid", share), ("pneumonia", 0.01), ("normal", 0.99 - share)):
            counts.shares[f"{name}:{bin_of(value, SHARE_EDGES)}"] = answers
        if doubts is not None:
            counts.doubts.update({"answers": answers, **doubts})
        counts.formats.update(looks or {"png": answers})
        return DailyFigures.objects.create(
            site=north,
            day=timezone.localdate() - dt.timedelta(days=ago),
            counts=counts.to_json(),
            counted_at=timezone.now(),
        )

    return make
