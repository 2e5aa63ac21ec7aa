"""North, South and their people, made once for each module; ``undone`` clears up after each row.

The fixtures have the names of those in ``tests/personas.py`` and live longer: building a site with
its studies and reports takes several times as long as asking one address of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections
from django.test import Client, TestCase, override_settings
from pytest_django.plugin import DjangoDbBlocker

from screening.accounts.models import Membership, Role, Site, User
from screening.accounts.second_factors import factors_of
from screening.accounts.services.devices import make_device
from screening.patients.models import Patient
from tests.permissions import objects
from tests.permissions.objects import Objects
from tests.permissions.undoing import undone
from tests.personas import ClientOf, give_app, make_patient, make_user, sign_in


@pytest.fixture(scope="module")
def db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """One transaction for the whole module, undone at its end, as ``TestCase`` does it."""
    with django_db_blocker.unblock():
        opened = TestCase._enter_atomics()  # type: ignore[attr-defined]  # not in the stubs
        try:
            yield
        finally:
            TestCase._rollback_atomics(opened)  # type: ignore[attr-defined]
            connections.close_all()


@pytest.fixture(name="undone")
def undone_after(db: None) -> Iterator[None]:
    """What the test does is gone after it."""
    with undone():
        yield


@pytest.fixture(scope="module", autouse=True)
def media_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of the module's studies; what single rows add stays until its end."""
    folder = tmp_path_factory.mktemp("media")
    with override_settings(MEDIA_ROOT=str(folder)):
        yield folder


@pytest.fixture(scope="module")
def north(db: None) -> Site:
    return Site.objects.create(name="North Hospital")


@pytest.fixture(scope="module")
def south(db: None) -> Site:
    return Site.objects.create(name="South Hospital")


@pytest.fixture(scope="module")
def people(north: Site, south: Site) -> dict[str, User | None]:
    """The columns of the matrix."""
    both = make_user(north, username="bea", first_name="Bea", last_name="Both")
    Membership.objects.create(user=both, site=south, role=Role.ADMIN)
    give_app(both)
    alice = make_user(north, username="alice", first_name="Alice", last_name="Archer")
    room = make_device(actor=make_user(north, Role.ADMIN), site=north, name="X-ray room 7")
    new_admin = make_user(north, Role.ADMIN, username="adele")
    factors_of(new_admin).delete()
    west = Site.objects.create(name="West Hospital")
    return {
        "anonymous": None,
        "clinician_a": alice,
        "admin_a": make_user(
            north, Role.ADMIN, username="adam", first_name="Adam", last_name="Ashdown"
        ),
        "clinician_b": make_user(south, username="bob", first_name="Bob", last_name="Barley"),
        "admin_b": make_user(
            south, Role.ADMIN, username="berta", first_name="Berta", last_name="Bright"
        ),
        "deactivated": make_user(
            north, username="dora", first_name="Dora", last_name="Dormant", is_active=False
        ),
        "both_sites": both,
        "admin_without_factor": new_admin,
        "in_emergency": make_user(west, username="willa"),
        "read_token": alice,
        "device": room.user,
        "never_member": User.objects.create_user(username="nemo", email="nemo@example.org"),
    }


@pytest.fixture(scope="module")
def clinician_a(people: dict[str, User | None]) -> User:
    return _known(people, "clinician_a")


@pytest.fixture(scope="module")
def admin_a(people: dict[str, User | None]) -> User:
    return _known(people, "admin_a")


def _known(people: dict[str, User | None], name: str) -> User:
    person = people[name]
    assert person is not None
    return person


@pytest.fixture(scope="module")
def patient_a(north: Site) -> Patient:
    return make_patient(north, mrn="N-1001", family_name="Nordlund", given_name="Nina")


@pytest.fixture
def client_of(db: None) -> ClientOf:
    """A browser of somebody, signed in just now."""

    def open_browser(user: User | None, *, csrf: bool = False) -> Client:
        client = Client(enforce_csrf_checks=csrf)
        if user is not None:
            sign_in(client, user)
        return client

    return open_browser


@pytest.fixture(scope="module")
def accounts_of_north(clinician_a: User, admin_a: User) -> Objects:
    return objects.accounts_of_north(clinician_a, admin_a)


@pytest.fixture(scope="module")
def studies_of_north(clinician_a: User, patient_a: Patient) -> Objects:
    return objects.studies_of_north(clinician_a, patient_a)


@pytest.fixture(scope="module")
def reports_of_north(clinician_a: User, studies_of_north: Objects) -> Objects:
    return objects.reports_of_north(clinician_a, studies_of_north)


@pytest.fixture(scope="module")
def exports_of_north(admin_a: User, north: Site, reports_of_north: Objects) -> Objects:
    gone = objects.erasures_of_north(north)
    return {**objects.exports_of_north(admin_a, reports_of_north), **gone}


@pytest.fixture(scope="module")
def emergency_of_north(patient_a: Patient, people: dict[str, User | None]) -> Objects:
    return objects.emergency_of_north(patient_a, _known(people, "in_emergency"))


@pytest.fixture(scope="module", autouse=True)
def erasure_list(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The list of the erased, for each module its own."""
    with override_settings(ERASURE_LIST=tmp_path_factory.mktemp("erased") / "erasures.jsonl"):
        yield
