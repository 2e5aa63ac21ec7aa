"""The order of the list: what is put before what, for how long, and page by page."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screening.accounts.models import Site, User
from screening.core.errors import InvalidInput
from screening.patients.models import Patient
from screening.studies.models import Study
from screening.worklist.models import Entry, Order, Rule
from screening.worklist.ordering import Place, Run
from screening.worklist.selectors import Wanted, worklist_of
from tests.worklist.conftest import NewStudy

MONDAY = datetime(2026, 11, 16, 8, tzinfo=UTC)


# --- Simulated queues --------------------------------------------------------------------------


@dataclass(frozen=True)
class Exam:
    """One study of a simulated day, in minutes."""

    number: int
    arrived: int
    flagged: bool
    takes: int


def place_of(study: Exam, cap: int) -> Place:
    """The place that the worklist gives it."""
    entry = Entry(study_id=UUID(int=study.number), arrived_at=at(study.arrived))
    ahead = timedelta(minutes=cap) if study.flagged else timedelta(0)
    return Run(Entry.objects.none(), ahead=ahead).place(entry)


def at(minute: int) -> datetime:
    return MONDAY + timedelta(minutes=minute)


def read_all(day: list[Exam], cap: int) -> dict[int, int]:
    """When each study is read to the end by one reader who never rests while any waits."""
    waiting: list[Exam] = []
    coming = sorted(day, key=lambda study: (study.arrived, study.number))
    now, done = 0, {}
    while waiting or coming:
        while coming and coming[0].arrived <= now:
            waiting.append(coming.pop(0))
        if not waiting:
            now = coming[0].arrived
            continue
        study = min(waiting, key=lambda one: place_of(one, cap))
        waiting.remove(study)
        now += study.takes
        done[study.number] = now
    return done


days = st.lists(
    st.tuples(
        st.integers(0, 30),  # minutes after the one before
        st.booleans(),
        st.integers(1, 25),
    ),
    min_size=1,
    max_size=40,
)


def make_day(drawn: list[tuple[int, bool, int]]) -> list[Exam]:
    day, now = [], 0
    for number, (gap, flagged, takes) in enumerate(drawn):
        now += gap
        day.append(Exam(number, now, flagged, takes))
    return day


@settings(max_examples=150, deadline=None)
@given(drawn=days, cap=st.integers(0, 120))
def test_nothing_waits_longer_than_its_cap_and_what_had_come_by_then(
    drawn: list[tuple[int, bool, int]], cap: int
) -> None:
    """The bound of ``worklist.ordering``: as if it had come last at the end of its cap."""
    day = make_day(drawn)
    capped = read_all(day, cap)
    in_order = read_all(day, 0)
    for study in day:
        if study.flagged:
            continue
        had_come = [one for one in day if one.arrived <= study.arrived + cap]
        assert capped[study.number] <= max(in_order[one.number] for one in had_come)


@settings(max_examples=150, deadline=None)
@given(drawn=days, cap=st.integers(1, 120))
def test_once_a_study_has_waited_for_the_cap_nothing_newer_goes_before_it(
    drawn: list[tuple[int, bool, int]], cap: int
) -> None:
    day = make_day(drawn)
    for study in day:
        for newer in day:
            if newer.arrived > study.arrived + cap:
                assert place_of(study, cap) < place_of(newer, cap)


def test_plain_priority_starves_the_rest_and_the_cap_does_not() -> None:
    """One study without a flag, and a flagged one whenever the reader is free."""
    day = [Exam(0, 0, False, 10)]
    day += [Exam(number, 10 * (number - 1), True, 10) for number in range(1, 100)]
    assert read_all(day, cap=10**6)[0] == 1000, "without a cap it is read last of all"
    # The six that came in the first hour, it, and not one more.
    assert read_all(day, cap=60)[0] == 70
    assert read_all(day, cap=0)[0] == 10


# --- The list itself ---------------------------------------------------------------------------


def shown_to(user: User, wanted: Wanted | None = None) -> list[UUID]:
    return [entry.pk for entry in worklist_of(user, wanted).page(size=200).entries]


def test_without_a_rule_studies_stand_in_order_of_arrival(
    clinician_a: User, new_study: NewStudy
) -> None:
    newer = new_study(flagged=True, minutes_ago=1)
    older = new_study(minutes_ago=2, seed=2)
    assert shown_to(clinician_a) == [older.pk, newer.pk]


def test_a_flag_overtakes_what_came_less_than_the_cap_before(
    clinician_a: User, new_study: NewStudy, flags_first: Rule
) -> None:
    flagged = new_study(flagged=True, minutes_ago=5)
    recent = new_study(minutes_ago=40, seed=2)
    old = new_study(minutes_ago=70, seed=3)
    assert shown_to(clinician_a) == [old.pk, flagged.pk, recent.pk]


def test_a_changed_rule_holds_with_the_next_page(
    clinician_a: User, new_study: NewStudy, flags_first: Rule
) -> None:
    flagged = new_study(flagged=True, minutes_ago=5)
    other = new_study(minutes_ago=40, seed=2)
    Rule.objects.update(cap_minutes=30)
    assert shown_to(clinician_a) == [other.pk, flagged.pk]
    Rule.objects.update(order=Order.ARRIVAL, cap_minutes=60)
    assert shown_to(clinician_a) == [other.pk, flagged.pk]


@pytest.fixture
def two_sites_full(
    north: Site, south: Site, clinician_a: User, patient_a: Patient, patient_b: Patient
) -> list[Entry]:
    """Ninety entries of two sites with different rules, many of them of the same minute."""
    Rule.objects.create(site=north, order=Order.FLAGS_FIRST, cap_minutes=20)
    Rule.objects.create(site=south, order=Order.ARRIVAL)
    dice = random.Random(7)
    found = []
    for _number in range(90):
        site, patient = dice.choice([(north, patient_a), (south, patient_b)])
        study = Study.objects.create(site=site, patient=patient, uploaded_by=clinician_a)
        found.append(
            Entry(
                study=study,
                site=site,
                patient=patient,
                status="done",
                arrived_at=at(dice.randrange(60)),
                flagged=dice.random() < 0.3,
            )
        )
    return Entry.objects.bulk_create(found)


def test_pages_follow_each_other_without_gap_or_repetition_both_ways(
    two_sites_full: list[Entry], north: Site, south: Site, clinician_a: User
) -> None:
    clinician_a.memberships.create(site=south, role="clinician")

    def key(entry: Entry) -> tuple[datetime, int]:
        ahead = 20 if entry.flagged and entry.site_id == north.pk else 0
        return entry.arrived_at - timedelta(minutes=ahead), entry.pk.int

    expected = [entry.pk for entry in sorted(two_sites_full, key=key)]
    found = worklist_of(clinician_a)
    pages, mark = [], ""
    while True:
        page = found.page(after=mark, size=13)
        pages.append([entry.pk for entry in page.entries])
        mark = page.next
        if not mark:
            break
    assert [pk for page_ in pages for pk in page_] == expected
    back, mark = [], page.previous
    while mark:
        page = found.page(before=mark, size=13)
        back.insert(0, [entry.pk for entry in page.entries])
        mark = page.previous
    assert [pk for page_ in back for pk in page_] == expected[: -len(pages[-1])]


@pytest.mark.parametrize("mark", ["x", "1-x", "9" * 40 + "-" + "0" * 32, "-", "1-" + "g" * 32])
def test_a_mark_that_leads_nowhere_is_refused(clinician_a: User, mark: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        worklist_of(clinician_a).page(after=mark)
    assert refusal.value.code == "bad_cursor"


def test_marks_at_the_ends_of_time_find_nothing(clinician_a: User, new_study: NewStudy) -> None:
    new_study()
    last = f"{253402300799999999}-{'f' * 32}"
    assert worklist_of(clinician_a).page(after=last).entries == []


def test_counting_stops(clinician_a: User, two_sites_full: list[Entry], south: Site) -> None:
    clinician_a.memberships.create(site=south, role="clinician")
    found = worklist_of(clinician_a)
    assert found.count() == 90
    extra = [
        Study(site=south, patient=two_sites_full[0].patient, uploaded_by=clinician_a)
        for _ in range(40)
    ]
    Study.objects.bulk_create(extra)
    Entry.objects.bulk_create(
        Entry(study=s, site=south, patient=s.patient, status="done", arrived_at=at(0))
        for s in extra
    )
    assert worklist_of(clinician_a).count() == 100, "counted no further"
