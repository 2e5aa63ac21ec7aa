"""The people of the tests: two sites, so that a leak from one to the other shows everywhere.

North is site "A": its clinician, its admin, and a clinician whose membership was ended. South is
site "B". A test that needs somebody else calls ``make_user``.
"""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Protocol

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from screening.accounts.models import Membership, Role, Site, User
from screening.accounts.sealing import seal
from screening.patients.models import Patient, Sex

PASSWORD = "heron-walks-at-dawn-42"
APP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # of every administrator's authenticator app

_numbers = itertools.count(1)


class ClientOf(Protocol):
    """Signs ``user`` in and returns the browser; ``None`` is somebody anonymous."""

    def __call__(self, user: User | None, *, csrf: bool = False) -> Client: ...


def make_user(
    site: Site,
    role: str = Role.CLINICIAN,
    *,
    username: str | None = None,
    first_name: str = "",
    last_name: str = "",
    is_active: bool = True,
) -> User:
    """A person with one membership; ``is_active`` is the membership's."""
    username = username or f"user{next(_numbers)}"
    user = User.objects.create_user(
        username=username,
        email=f"{username}@example.org",
        password=PASSWORD,
        first_name=first_name,
        last_name=last_name,
    )
    Membership.objects.create(user=user, site=site, role=role, is_active=is_active)
    if role == Role.ADMIN:
        give_app(user)
    return user


def give_app(user: User, secret: str = APP_SECRET) -> None:
    """Let ``user`` hold an authenticator app, as every administrator of a new site must."""
    Authenticator.objects.create(
        user=user, type=Authenticator.Type.TOTP, data={"secret": seal(secret)}
    )


def sign_in(client: Client, user: User) -> None:
    """Sign ``user`` in on ``client`` without a page, as if with password and second factor."""
    client.force_login(user)
    session = client.session
    session["second_factor"] = {"user": str(user.pk), "kind": "totp"}
    session.save()


def make_patient(
    site: Site,
    *,
    mrn: str | None = None,
    family_name: str = "Testmann",
    given_name: str = "Thora",
    birth_date: dt.date | None = dt.date(1962, 3, 14),
    sex: str = Sex.FEMALE,
) -> Patient:
    """A patient of ``site``; the record number is fresh unless given."""
    return Patient.objects.create(
        site=site,
        mrn=mrn or f"TEST-{next(_numbers):06d}",
        family_name=family_name,
        given_name=given_name,
        birth_date=birth_date,
        sex=sex,
    )


def membership_of(user: User, site: Site | None = None) -> Membership:
    """The person's membership (at ``site``, where there are several)."""
    found = Membership.objects.filter(user=user)
    return found.get(site=site) if site is not None else found.get()


@pytest.fixture
def north(db: None) -> Site:
    return Site.objects.create(name="North Hospital")


@pytest.fixture
def south(db: None) -> Site:
    return Site.objects.create(name="South Hospital")


@pytest.fixture
def clinician_a(north: Site) -> User:
    return make_user(north, username="alice", first_name="Alice", last_name="Archer")


@pytest.fixture
def admin_a(north: Site) -> User:
    return make_user(north, Role.ADMIN, username="adam", first_name="Adam", last_name="Ashdown")


@pytest.fixture
def clinician_b(south: Site) -> User:
    return make_user(south, username="bob", first_name="Bob", last_name="Barley")


@pytest.fixture
def admin_b(south: Site) -> User:
    return make_user(south, Role.ADMIN, username="berta", first_name="Berta", last_name="Bright")


@pytest.fixture
def deactivated(north: Site) -> User:
    """Somebody who worked at North and does not any more."""
    return make_user(
        north, username="dora", first_name="Dora", last_name="Dormant", is_active=False
    )


@pytest.fixture
def patient_a(north: Site) -> Patient:
    return make_patient(north, mrn="N-1001", family_name="Nordlund", given_name="Nina")


@pytest.fixture
def patient_b(south: Site) -> Patient:
    return make_patient(
        south, mrn="S-2001", family_name="Suárez", given_name="Sancho", sex=Sex.MALE
    )


@pytest.fixture
def client_of(db: None) -> ClientOf:
    """A browser of somebody: ``client_of(clinician_a).get("/patients/")``.

    With ``csrf=True`` the browser checks forgery tokens as a real one has them checked.
    """

    def open_browser(user: User | None, *, csrf: bool = False) -> Client:
        client = Client(enforce_csrf_checks=csrf)
        if user is not None:
            sign_in(client, user)
        return client

    return open_browser
