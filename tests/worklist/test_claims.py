"""Who has which study in hand."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.http import Http404
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.core.errors import Conflict, InvalidInput
from screening.patients.models import Patient
from screening.reading.services import Draft, sign_reading
from screening.studies.models import Study
from screening.worklist import claims
from screening.worklist.models import Entry, Kind, Notification, Rule
from screening.worklist.selectors import Wanted, row_of
from tests.personas import make_user
from tests.worklist.conftest import NewStudy, send_study


@pytest.fixture
def study(new_study: NewStudy) -> Study:
    return new_study()


def holder_seen_by(user: User, study: Study) -> User | None:
    return row_of(user, study.pk).held_by


def let_idle_time_pass() -> None:
    Entry.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))


def test_a_claim_is_seen_by_colleagues_and_refused_to_them(
    clinician_a: User, anna: User, study: Study
) -> None:
    claims.claim_study(actor=clinician_a, study_id=study.pk)
    assert holder_seen_by(anna, study) == clinician_a
    with pytest.raises(claims.AlreadyClaimed, match="Alice Archer is reading this study"):
        claims.claim_study(actor=anna, study_id=study.pk)
    assert holder_seen_by(anna, study) == clinician_a


def test_claiming_again_keeps_the_beginning_and_prolongs(clinician_a: User, study: Study) -> None:
    first = claims.claim_study(actor=clinician_a, study_id=study.pk)
    Entry.objects.update(claimed_until=timezone.now() + timedelta(seconds=5))
    second = claims.claim_study(actor=clinician_a, study_id=study.pk)
    assert second.claimed_at == first.claimed_at
    assert second.claimed_until is not None
    assert second.claimed_until > timezone.now() + timedelta(minutes=14)
    assert Event.objects.filter(action="worklist.claim").count() == 1


def test_a_claim_without_a_sign_of_its_holder_ends(
    clinician_a: User, anna: User, study: Study
) -> None:
    claims.claim_study(actor=clinician_a, study_id=study.pk)
    let_idle_time_pass()
    assert holder_seen_by(anna, study) is None
    assert not claims.prolong_claim(actor=clinician_a, study_id=study.pk), "it is gone"
    assert claims.claim_study(actor=anna, study_id=study.pk).claimed_by == anna


def test_a_sign_prolongs_by_the_sites_idle_time(
    north: Site, clinician_a: User, anna: User, study: Study
) -> None:
    Rule.objects.create(site=north, idle_minutes=120)
    claims.claim_study(actor=clinician_a, study_id=study.pk)
    Entry.objects.update(claimed_until=timezone.now() + timedelta(seconds=5))
    assert not claims.prolong_claim(actor=anna, study_id=study.pk), "not hers to prolong"
    assert claims.prolong_claim(actor=clinician_a, study_id=study.pk)
    until = Entry.objects.get().claimed_until
    assert until is not None
    assert until > timezone.now() + timedelta(minutes=119)


def test_giving_back(clinician_a: User, anna: User, admin_a: User, study: Study) -> None:
    claims.claim_study(actor=clinician_a, study_id=study.pk)
    with pytest.raises(claims.AlreadyClaimed):
        claims.release_study(actor=anna, study_id=study.pk)
    claims.release_study(actor=clinician_a, study_id=study.pk)
    assert holder_seen_by(anna, study) is None
    claims.release_study(actor=clinician_a, study_id=study.pk)  # Twice does no harm.
    claims.claim_study(actor=anna, study_id=study.pk)
    claims.release_study(actor=admin_a, study_id=study.pk)
    assert holder_seen_by(anna, study) is None, "whoever rules over the list may free any"
    assert Event.objects.filter(action="worklist.release").count() == 2


def test_a_read_study_is_not_claimed(clinician_a: User, anna: User, study: Study) -> None:
    draft = Draft(impression="normal", stance="agrees")
    sign_reading(actor=anna, study=study, draft=draft, version=0)
    with pytest.raises(Conflict) as refusal:
        claims.claim_study(actor=clinician_a, study_id=study.pk)
    assert refusal.value.code == "already_read"


def test_another_sites_study_does_not_exist(clinician_b: User, study: Study) -> None:
    for deed in (claims.claim_study, claims.release_study, claims.prolong_claim):
        with pytest.raises(Http404):
            deed(actor=clinician_b, study_id=study.pk)
    with pytest.raises(Http404):
        claims.assign_study(actor=clinician_b, study_id=study.pk, assignee_id=None)


def test_handing_over_ends_the_claim_and_tells_the_colleague(
    clinician_a: User, anna: User, study: Study
) -> None:
    claims.claim_study(actor=clinician_a, study_id=study.pk)
    entry = claims.assign_study(actor=clinician_a, study_id=study.pk, assignee_id=anna.pk)
    assert (entry.assigned_to, entry.claimed_by) == (anna, None)
    told = Notification.objects.get(user=anna)
    assert (told.kind, told.study_id, told.caused_by) == (Kind.ASSIGNED, study.pk, clinician_a)
    claims.assign_study(actor=anna, study_id=study.pk, assignee_id=None)
    assert Entry.objects.get().assigned_to is None


def test_only_colleagues_of_the_site_are_handed_anything(
    clinician_a: User, clinician_b: User, deactivated: User, study: Study
) -> None:
    for stranger in (clinician_b, deactivated):
        with pytest.raises(InvalidInput):
            claims.assign_study(actor=clinician_a, study_id=study.pk, assignee_id=stranger.pk)
    assert not Notification.objects.filter(kind=Kind.ASSIGNED).exists()


def test_the_next_study_goes_by_the_order_and_passes_over_what_is_taken(
    clinician_a: User, anna: User, new_study: NewStudy, flags_first: Rule
) -> None:
    recent = new_study(minutes_ago=30)
    flagged = new_study(flagged=True, minutes_ago=5, seed=2)
    old = new_study(minutes_ago=90, seed=3)
    for_anna = new_study(minutes_ago=95, seed=4)
    claims.assign_study(actor=clinician_a, study_id=for_anna.pk, assignee_id=anna.pk)

    got = [claims.claim_next(actor=clinician_a).pk]
    assert claims.claim_next(actor=anna).pk == for_anna.pk
    got += [claims.claim_next(actor=clinician_a, after=got[-1]).pk for _ in range(2)]
    assert got == [old.pk, flagged.pk, recent.pk]
    with pytest.raises(Conflict) as refusal:
        claims.claim_next(actor=clinician_a)
    assert refusal.value.code == "nothing_left"


def test_the_next_after_the_last_begins_from_the_top(
    clinician_a: User, new_study: NewStudy
) -> None:
    first = new_study(minutes_ago=30)
    last = new_study(minutes_ago=5, seed=2)
    assert claims.claim_next(actor=clinician_a, after=last.pk).pk == first.pk


def test_the_next_of_a_narrowed_list(clinician_a: User, new_study: NewStudy) -> None:
    new_study(minutes_ago=30)
    flagged = new_study(minutes_ago=5, seed=2, flagged=True)
    assert claims.claim_next(actor=clinician_a, wanted=Wanted(flag="yes")).pk == flagged.pk


def in_threads(*deeds: object) -> None:
    """Run all of them at once, each with a connection of its own."""
    start = threading.Barrier(len(deeds))

    def run(deed: object) -> None:
        start.wait(10)
        try:
            deed()  # type: ignore[operator]
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_claim_at_once_one_gets_it(
    north: Site, clinician_a: User, patient_a: Patient
) -> None:
    study = send_study(clinician_a, patient_a)
    readers = [make_user(north) for _ in range(6)]
    got: list[User] = []
    refused: list[str] = []

    def claim(reader: User) -> None:
        try:
            claims.claim_study(actor=reader, study_id=study.pk)
            got.append(reader)
        except claims.AlreadyClaimed as refusal:
            refused.append(refusal.message)

    in_threads(*(lambda reader=reader: claim(reader) for reader in readers))
    assert len(got) == 1
    assert refused == [f"{got[0]} is reading this study."] * 5
    assert Entry.objects.get().claimed_by == got[0]
    assert Event.objects.filter(action="worklist.claim").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_who_ask_for_the_next_each_gets_another(
    north: Site, clinician_a: User, patient_a: Patient
) -> None:
    studies = {send_study(clinician_a, patient_a, seed=seed).pk for seed in range(4)}
    readers = [make_user(north) for _ in range(6)]
    got: list[UUID] = []
    left_out: list[str] = []

    def ask(reader: User) -> None:
        try:
            got.append(claims.claim_next(actor=reader).pk)
        except Conflict as refusal:
            left_out.append(refusal.code)

    in_threads(*(lambda reader=reader: ask(reader) for reader in readers))
    assert sorted(got) == sorted(studies), "each once"
    assert left_out == ["nothing_left"] * 2
