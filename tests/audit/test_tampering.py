"""Somebody who owns the database drops its triggers and changes the record: each time it is named.

The chain has seven events; what is done to it is done to those in its middle.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from screening.accounts.models import Site, User
from screening.audit.anchors import write_anchors
from screening.audit.canonical import FIELDS, chained, digest_of
from screening.audit.context import Origin, acting_as
from screening.audit.findings import Finding, Kind
from screening.audit.models import NO_SITE, Event, Link, Outcome
from screening.audit.services import record
from screening.audit.verification import chains
from screening.patients.models import Patient
from tests.audit.chains import as_committed, findings, rewrite, sql, without_triggers

LENGTH = 7
MIDDLE = 4


@pytest.fixture
def chain(north: Site, south: Site, clinician_a: User, patient_a: Patient) -> Any:
    """North's chain of seven; one of South's and one of nobody's stay as they are."""
    origin = Origin(
        actor_id=clinician_a.pk,
        actor_name="alice",
        token_id=uuid4(),
        owner_id=uuid4(),
        request_id="r-1",
        remote_addr="2001:db8::1",
    )
    with acting_as(origin):
        for number in range(LENGTH):
            record("patient.view", patient_a, detail={"n": number, "share": 0.5})
    record("site.create", south, site_id=south.pk)
    record("storage.sweep")
    as_committed()
    return north.pk


def event_at(place: int, chain: Any) -> Event:
    return Event.objects.get(pk=Link.objects.get(chain=chain, sequence=place).event_id)


def only(found: list[Finding]) -> tuple[Kind, int | None]:
    [finding] = found
    assert finding.sentence.count("%(") == 0
    return finding.kind, finding.place


def test_untouched_it_is_intact_each_site_by_itself(chain: Any, south: Site) -> None:
    assert findings() == []
    assert set(chains()) == {chain, south.pk, NO_SITE}
    assert [link.sequence for link in Link.objects.filter(chain=chain)] == list(range(1, 8))
    assert Link.objects.get(chain=south.pk).sequence == 1


CHANGES: dict[str, Any] = {
    "uuid": uuid4(),
    "at": "2026-01-01T00:00:00+00:00",
    "actor_id": uuid4(),
    "actor_name": "alicf",
    "token_id": uuid4(),
    "owner_id": None,
    "action": "patient.viex",
    "object_type": "patienu",
    "object_id": "other",
    "patient_id": uuid4(),
    "outcome": Outcome.DENIED,
    "request_id": "r-2",
    "remote_addr": "2001:db8::2",
    "detail": {"n": MIDDLE - 1, "share": 0.25},
    "site_id": None,
}


@pytest.mark.parametrize("name", FIELDS)
def test_one_changed_byte_of_any_field_is_named(chain: Any, name: str) -> None:
    event = event_at(MIDDLE, chain)
    with without_triggers():
        Event.objects.filter(pk=event.pk).update(**{name: CHANGES[name]})
    [finding] = findings()
    assert (finding.kind, finding.place, finding.event) == (Kind.ALTERED, MIDDLE, event.pk)
    assert str(event.pk) in finding.sentence


def test_a_change_with_its_fingerprint_is_named(chain: Any) -> None:
    with without_triggers():
        event = event_at(MIDDLE, chain)
        event.actor_name = "bob"
        event.seal()
        event.save()
    assert only(findings()) == (Kind.REPLACED, MIDDLE)


class TestDeleted:
    def test_an_event(self, chain: Any) -> None:
        with without_triggers():
            event_at(MIDDLE, chain).delete()
        assert only(findings()) == (Kind.MISSING, MIDDLE)

    def test_an_event_with_its_place(self, chain: Any) -> None:
        with without_triggers():
            event_at(MIDDLE, chain).delete()
            Link.objects.filter(chain=chain, sequence=MIDDLE).delete()
        assert only(findings()) == (Kind.MISSING, MIDDLE)

    def test_and_the_places_after_it_moved_up(self, chain: Any) -> None:
        with without_triggers():
            event_at(MIDDLE, chain).delete()
            Link.objects.filter(chain=chain, sequence=MIDDLE).delete()
            for place in range(MIDDLE + 1, LENGTH + 1):
                sql("UPDATE audit_link SET sequence = %s WHERE sequence = %s", place - 1, place)
        assert only(findings()) == (Kind.REMOVED, MIDDLE)

    def test_only_the_place(self, chain: Any) -> None:
        with without_triggers():
            Link.objects.filter(chain=chain, sequence=MIDDLE).delete()
        assert {finding.kind for finding in findings()} == {Kind.MISSING, Kind.UNCHAINED}

    def test_the_end_is_known_by_the_anchor(self, chain: Any) -> None:
        write_anchors(chains())
        with without_triggers():
            for place in (LENGTH - 1, LENGTH):
                event_at(place, chain).delete()
                Link.objects.filter(chain=chain, sequence=place).delete()
        assert only(findings()) == (Kind.CUT, LENGTH)

    def test_a_whole_chain_is_known_by_the_anchor(self, chain: Any) -> None:
        write_anchors(chains())
        with without_triggers():
            Event.objects.filter(site_id=chain).delete()
            Link.objects.filter(chain=chain).delete()
        assert only(findings()) == (Kind.CUT, LENGTH)


class TestInserted:
    def made_up(self, chain: Any) -> Event:
        event = Event(action="patient.view", site_id=chain, actor_name="nobody")
        event.seal()
        event.save()
        return event

    def make_room(self) -> None:
        for place in range(LENGTH, MIDDLE - 1, -1):
            sql("UPDATE audit_link SET sequence = %s WHERE sequence = %s", place + 1, place)

    def test_an_event_without_a_place(self, chain: Any) -> None:
        with without_triggers():
            event = self.made_up(chain)
        [finding] = findings()
        assert (finding.kind, finding.event) == (Kind.UNCHAINED, event.pk)

    def test_an_event_with_a_place_that_fits_the_one_before(self, chain: Any) -> None:
        with without_triggers():
            event = self.made_up(chain)
            before = Link.objects.get(chain=chain, sequence=MIDDLE - 1).hash
            self.make_room()
            Link.objects.create(
                event_id=event.pk,
                chain=chain,
                sequence=MIDDLE,
                previous=before,
                hash=chained(before, event.digest),
            )
        assert only(findings()) == (Kind.INSERTED, MIDDLE)

    def test_an_event_with_a_place_that_fits_nowhere(self, chain: Any) -> None:
        with without_triggers():
            event = self.made_up(chain)
            self.make_room()
            Link.objects.create(
                event_id=event.pk, chain=chain, sequence=MIDDLE, previous="1" * 64, hash="2" * 64
            )
        assert only(findings()) == (Kind.INSERTED, MIDDLE)


@pytest.mark.parametrize("other", [MIDDLE + 1, LENGTH])
class TestSwapped:
    def test_places(self, chain: Any, other: int) -> None:
        with without_triggers():
            sql("UPDATE audit_link SET sequence = -1 WHERE sequence = %s", MIDDLE)
            sql("UPDATE audit_link SET sequence = %s WHERE sequence = %s", MIDDLE, other)
            sql("UPDATE audit_link SET sequence = %s WHERE sequence = -1", other)
        [finding] = findings()
        assert (finding.kind, finding.place) == (Kind.SWAPPED, MIDDLE)
        assert dict(finding.more) == {"other": str(other)}

    def test_events(self, chain: Any, other: int) -> None:
        first, second = event_at(MIDDLE, chain), event_at(other, chain)
        with without_triggers():
            first.pk, second.pk = second.pk, first.pk
            first.save()
            second.save()
        [finding] = findings()
        assert (finding.kind, finding.place) == (Kind.SWAPPED, MIDDLE)
        assert dict(finding.more) == {"other": str(other)}


class TestRewritten:
    def test_from_the_middle_is_known_by_the_anchor(self, chain: Any) -> None:
        write_anchors(chains())
        with without_triggers():
            event = event_at(MIDDLE, chain)
            event.actor_name = "bob"
            event.save()
            rewrite(MIDDLE, chain)
        [finding] = findings()
        assert (finding.kind, finding.place) == (Kind.REWRITTEN, LENGTH)
        assert dict(finding.more)["since"] == "1"

    def test_the_anchors_before_it_say_since_when(self, chain: Any, patient_a: Patient) -> None:
        write_anchors(chains())
        for _ in range(3):
            record("patient.view", patient_a)
        as_committed()
        write_anchors(chains())
        with without_triggers():
            event = event_at(LENGTH + 2, chain)
            event.actor_name = "bob"
            event.save()
            rewrite(LENGTH + 2, chain)
        [finding] = findings()
        assert (finding.kind, finding.place) == (Kind.REWRITTEN, LENGTH + 3)
        assert dict(finding.more)["since"] == str(LENGTH + 1)

    def test_what_was_verified_before_is_compared_with_its_anchor(self, chain: Any) -> None:
        assert findings() == []
        write_anchors(chains())
        with without_triggers():
            event = event_at(MIDDLE, chain)
            event.actor_name = "bob"
            event.save()
            rewrite(MIDDLE, chain)
        assert only(findings(full=False)) == (Kind.REWRITTEN, LENGTH)


class TestQuickRuns:
    def test_one_goes_on_where_the_last_ended(self, chain: Any, patient_a: Patient) -> None:
        assert findings() == []
        with without_triggers():
            Event.objects.filter(pk=event_at(MIDDLE, chain).pk).update(actor_name="bob")
        record("patient.view", patient_a)
        assert findings(full=False) == []
        assert only(findings()) == (Kind.ALTERED, MIDDLE)

    def test_what_is_broken_is_said_again_every_time(self, chain: Any, patient_a: Patient) -> None:
        with without_triggers():
            Event.objects.filter(pk=event_at(MIDDLE, chain).pk).update(actor_name="bob")
        assert only(findings()) == (Kind.ALTERED, MIDDLE)
        record("patient.view", patient_a)
        assert only(findings(full=False)) == (Kind.ALTERED, MIDDLE)

    def test_a_place_verified_before_and_changed_since(self, chain: Any) -> None:
        assert findings() == []
        with without_triggers():
            sql("UPDATE audit_link SET hash = %s WHERE sequence = %s", "3" * 64, LENGTH)
        assert only(findings(full=False)) == (Kind.REPLACED, LENGTH)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    detail=st.dictionaries(st.text("xyzé", max_size=3), JSON, max_size=3), address=st.ip_addresses()
)
def test_an_event_read_again_has_the_digest_with_which_it_was_written(
    db: None, detail: dict[str, Any], address: Any
) -> None:
    with acting_as(Origin(remote_addr=str(address))):
        record("site.create", detail=detail)
    event = Event.objects.latest("pk")
    assert digest_of(event.values()) == event.digest


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_other_order_of_the_places_is_named(chain: Any, data: st.DataObject) -> None:
    """Places are shuffled, and put back."""
    order = data.draw(st.permutations(range(1, LENGTH + 1)))
    events = [link.event_id for link in Link.objects.filter(chain=chain).order_by("sequence")]
    with without_triggers():
        for place, event in zip(order, events, strict=True):
            sql("UPDATE audit_link SET sequence = %s WHERE event_id = %s", -place, event)
        sql("UPDATE audit_link SET sequence = -sequence WHERE sequence < 0")
    found = findings()
    with without_triggers():
        for place, event in enumerate(events, start=1):
            sql("UPDATE audit_link SET sequence = %s WHERE event_id = %s", -place, event)
        sql("UPDATE audit_link SET sequence = -sequence WHERE sequence < 0")
    first_moved = next((n for n, place in enumerate(order, 1) if place != n), None)
    assert [finding.place for finding in found] == ([first_moved] if first_moved else [])
    assert connection.in_atomic_block
