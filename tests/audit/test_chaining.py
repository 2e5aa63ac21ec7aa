"""The chain grows with what it records: all or nothing, and whoever else writes meanwhile."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction

from screening.accounts.models import Site, User
from screening.audit.models import Event, Link
from screening.audit.services import record
from screening.patients.models import Patient
from tests.audit.chains import as_committed, findings, sql, without_triggers
from tests.personas import make_patient, make_user


def test_what_is_undone_leaves_no_place(north: Site, patient_a: Patient) -> None:
    record("patient.view", patient_a)
    with transaction.atomic():
        record("patient.update", patient_a)
        transaction.set_rollback(True)
    record("patient.view", patient_a)
    assert findings() == []
    assert list(Link.objects.values_list("sequence", flat=True)) == [1, 2]


def test_many_at_once_are_chained_too(north: Site) -> None:
    events = [Event(action="site.create", site_id=north.pk, detail={"n": n}) for n in range(20)]
    for event in events:
        event.seal()
    Event.objects.bulk_create(events)
    assert findings() == []
    assert Link.objects.count() == 20


def test_an_event_without_a_digest_is_refused(north: Site) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        Event.objects.create(action="site.create", site_id=north.pk)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_link SET sequence = 5",
        "DELETE FROM audit_link",
        pytest.param("TRUNCATE audit_link", marks=pytest.mark.server),
        pytest.param("TRUNCATE audit_event", marks=pytest.mark.server),
    ],
)
def test_a_place_is_as_closed_as_an_event(north: Site, statement: str) -> None:
    record("site.create", north, site_id=north.pk)
    as_committed()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        sql(statement)
    assert findings() == []


def test_events_of_before_the_chain_are_chained_by_the_migration(
    north: Site, south: Site, patient_a: Patient
) -> None:
    with without_triggers():
        for site in (north, south, north):
            record("site.create", site, site_id=site.pk)
        record("patient.view", patient_a)
        Event.objects.update(patient_id=None)
        import_module("screening.audit.migrations.0003_chain").chain_what_is_there(apps, None)
    assert Link.objects.filter(chain=north.pk).count() == 3
    assert Event.objects.get(action="patient.view").patient_id == patient_a.pk
    record("patient.view", patient_a)
    assert findings() == []


def test_an_event_knows_its_patient_through_what_belongs_to_it(
    clinician_a: User, patient_a: Patient
) -> None:
    from tests.record import rows

    image = rows.send_image(clinician_a, patient_a)
    result = rows.finish(image)
    for thing in (image, image.study, result):
        record("image.view", thing)
    assert set(Event.objects.values_list("patient_id", flat=True)) == {patient_a.pk}


@pytest.mark.server
@pytest.mark.django_db(transaction=True)
def test_many_writers_of_two_sites_wait_for_nobody_for_ever() -> None:
    """Each records at both sites, in one order or the other, and holds a row that others check."""
    sites = [Site.objects.create(name=name) for name in ("North", "South")]
    users = [make_user(site) for site in sites]
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(12):
                order = (0, 1) if (number + turn) % 2 else (1, 0)
                with transaction.atomic():
                    for which in order:
                        record("site.create", sites[which], site_id=sites[which].pk)
                        # Its foreign key is checked at the commit, against a locked row.
                        make_patient(sites[which])
                    User.objects.select_for_update().get(pk=users[order[0]].pk)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert findings() == []
    assert Link.objects.count() == 8 * 12 * 2


@pytest.mark.server
@pytest.mark.django_db(transaction=True)
def test_a_commit_that_waits_for_a_row_does_not_hold_the_chain() -> None:
    """The order that would deadlock if the chain came before the checks of foreign keys."""
    site = Site.objects.create(name="North")
    holds, waits = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def holder() -> None:
        try:
            with transaction.atomic():
                Site.objects.select_for_update().get(pk=site.pk)
                holds.set()
                waits.wait(5)
                record("site.create", site, site_id=site.pk)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=holder)
    with transaction.atomic():
        record("site.create", site, site_id=site.pk)
        thread.start()
        assert holds.wait(5)
        make_patient(site)  # Checked at the commit, which has to wait for the holder.
        waits.set()
    thread.join()
    assert errors == []
    assert findings() == []


@pytest.mark.server
def test_the_portals_role_needs_no_right_to_the_chain(north: Site, patient_a: Patient) -> None:
    sql("CREATE ROLE audit_writer NOLOGIN")
    sql("GRANT INSERT, SELECT ON audit_event TO audit_writer")
    sql("GRANT USAGE ON SEQUENCE audit_event_id_seq TO audit_writer")
    sql("SET ROLE audit_writer")
    try:
        record("patient.view", patient_a)
        as_committed()
        for forbidden in (
            "UPDATE audit_event SET actor_name = 'x'",
            "DELETE FROM audit_event",
            "INSERT INTO audit_link VALUES (99, gen_random_uuid(), 1, '', '')",
            "SELECT * FROM audit_pending",
        ):
            with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
                sql(forbidden)
    finally:
        sql("RESET ROLE")
    assert findings() == []


@pytest.mark.once
def test_a_program_without_the_hash_cannot_insert(north: Site) -> None:
    """The embedded database chains with a function that the portal brings along."""
    raw: Any = connection.connection
    raw.create_function("SHA256", 1, None)
    try:
        with pytest.raises(DatabaseError), transaction.atomic():
            record("site.create", north, site_id=north.pk)
    finally:
        from django.db.backends.sqlite3._functions import register

        register(raw)
