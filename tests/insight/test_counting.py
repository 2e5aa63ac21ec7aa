"""What is counted of a day, and that days add up."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from screening.accounts.models import Site, User
from screening.insight import counting
from screening.insight.counting import WAIT_EDGES, Counts, bin_of, quantile
from screening.insight.rollup import count_day, today_at
from screening.patients.models import Patient
from screening.reading.models import Stance
from screening.studies.models import Image
from tests.insight.conftest import sign
from tests.record import rows


def test_a_day_is_counted_by_what_became_of_its_images(
    day_of_north: list[Image], north: Site, south: Site, clinician_a: User
) -> None:
    sign(day_of_north[0], clinician_a, Stance.OVERRIDES)
    sign(day_of_north[1], clinician_a, Stance.AGREES)
    counts = count_day(north, today_at(north))
    assert (counts.studies, counts.images) == (5, 5)
    assert counts.labels == {"pneumonia": 1, "normal": 1}
    assert counts.refusals == {"no_lungs": 1}
    assert counts.failures == {"timed_out": 1}
    assert counts.models == {"phantom-net 1.2.0": 2}
    assert counting.overrides(counts) == (1, 2)
    assert counts.wait_quantile(0.5) is not None
    assert count_day(south, today_at(south)) == Counts()


def test_doubts_are_counted_among_the_answers_that_carry_some(
    clinician_a: User, patient_a: Patient, north: Site
) -> None:
    carried = [
        None,
        rows.evidence(),
        rows.evidence(possible=("covid", "pneumonia"), verdict="unreliable"),
        rows.evidence(caution="Unlike the others.", caution_code="unfamiliar"),
        rows.evidence(possible=(), verdict="unknown", caution="Cut off."),
    ]
    for seed, one in enumerate(carried, start=1):
        rows.finish(rows.send_image(clinician_a, patient_a, seed=seed), carried=one)
    assert count_day(north, today_at(north)).doubts == {
        "answers": 4,
        "uncertain": 2,
        "unreliable": 1,
        "unfamiliar": 1,
        "cropped": 1,
    }


def test_a_draft_is_no_reading(day_of_north: list[Image], north: Site, clinician_a: User) -> None:
    sign(day_of_north[0], clinician_a, Stance.OVERRIDES, draft=True)
    assert counting.overrides(count_day(north, today_at(north))) == (0, 0)


def test_the_day_is_the_sites_own(day_of_north: list[Image], north: Site) -> None:
    # 23:30 in UTC is the next day in Berlin.
    late = dt.datetime(2026, 1, 15, 23, 30, tzinfo=dt.UTC)
    for image in day_of_north:
        type(image.study).objects.filter(pk=image.study_id).update(created_at=late)
    assert count_day(north, dt.date(2026, 1, 15)).studies == 5
    north.time_zone = "Europe/Berlin"
    assert count_day(north, dt.date(2026, 1, 15)).studies == 0
    assert count_day(north, dt.date(2026, 1, 16)).studies == 5


names = st.sampled_from(["a", "b", "c"])
counters = st.dictionaries(names, st.integers(0, 9))
days = st.builds(
    lambda n, labels, waits: Counts.from_json({"studies": n, "labels": labels, "waits": waits}),
    st.integers(0, 99),
    counters,
    counters,
)


@given(st.lists(days, max_size=6), st.integers(0, 6))
def test_days_add_up_in_any_order(parts: list[Counts], at: int) -> None:
    whole = Counts.total(parts)
    halves = Counts.total([Counts.total(parts[at:]), Counts.total(parts[:at])])
    assert whole == halves
    assert whole.studies == sum(part.studies for part in parts)
    assert Counts.from_json(whole.to_json()).results == whole.results


@given(st.lists(st.floats(0.05, 50_000), min_size=1, max_size=60), st.floats(0.05, 0.99))
def test_a_quantile_is_read_to_within_a_bin(waits: list[float], share: float) -> None:
    histogram = [0] * (len(WAIT_EDGES) + 1)
    for wait in waits:
        histogram[bin_of(wait, WAIT_EDGES)] += 1
    found = quantile(histogram, share)
    true = sorted(waits)[min(int(share * len(waits)), len(waits) - 1)]
    below = sorted(waits)[max(int(share * len(waits) - 1e-9) - 1, 0)]
    assert found is not None
    # whatever took less than a tenth of a second lies in one bin
    assert below / 1.2 <= max(found, 0.1) <= max(true, 0.1) * 1.2


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile([0] * 97, 0.5) is None
