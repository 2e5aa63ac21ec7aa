"""Everybody reads the portal in the own language and time zone; programs always in one."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.accounts.preferences import check_zone, known_zones, zone_named
from screening.accounts.services.preferences import set_preferences, set_site_time_zone
from screening.audit.models import Event
from screening.core.errors import Forbidden, InvalidInput
from tests.personas import ClientOf, make_user, membership_of

# Noon in winter: Berlin is an hour ahead of UTC, Kolkata five and a half.
NOON = dt.datetime(2026, 1, 15, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def signed_in_at_noon(north: Site) -> User:
    """A colleague whose last sign-in stands on the page of users."""
    colleague = make_user(north, username="nora")
    User.objects.filter(pk=colleague.pk).update(last_login=NOON)
    return colleague


def users_page(client: Any) -> str:
    return str(client.get("/users/").content.decode())


def test_times_are_the_sites_until_a_person_chooses(
    admin_a: User, north: Site, signed_in_at_noon: User, client_of: ClientOf
) -> None:
    client = client_of(admin_a)
    assert "12:00" in users_page(client)
    client.post("/site/settings/", {"time_zone": "Europe/Berlin"})
    assert "13:00" in users_page(client)
    assert "Times in Europe/Berlin" in users_page(client)
    client.post("/account/", {"time_zone": "Asia/Kolkata", "language": ""})
    assert "17:30" in users_page(client)
    client.post("/account/", {"time_zone": "", "language": ""})
    assert "13:00" in users_page(client)


def test_one_persons_zone_is_not_the_next_ones(
    admin_a: User, admin_b: User, client_of: ClientOf
) -> None:
    set_preferences(user=admin_a, language="", time_zone="Asia/Kolkata")
    assert "Times in Asia/Kolkata" in users_page(client_of(admin_a))
    assert "Times in UTC" in users_page(client_of(admin_b))
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_person_chooses_the_language(clinician_a: User, client_of: ClientOf) -> None:
    client = client_of(clinician_a)
    assert '<html lang="en-gb">' in client.get("/").content.decode()
    client.post("/account/", {"time_zone": "", "language": "de"})
    assert '<html lang="de">' in client.get("/").content.decode()
    # The own choice stands above what the browser asks for.
    client.post("/account/", {"time_zone": "", "language": "en-gb"})
    page = client.get("/", headers={"Accept-Language": "de"}).content.decode()
    assert '<html lang="en-gb">' in page


@pytest.mark.parametrize(
    ("asked", "given"), [("de-AT,de;q=0.9", "de"), ("en-US", "en-gb"), ("tlh", "en-gb")]
)
def test_before_signing_in_the_browser_says_which_language(
    asked: str, given: str, client_of: ClientOf
) -> None:
    page = client_of(None).get("/login/", headers={"Accept-Language": asked}).content.decode()
    assert f'<html lang="{given}">' in page


def test_the_api_speaks_english_and_gives_the_deployments_offset(
    clinician_a: User, patient_a: Any, client_of: ClientOf
) -> None:
    set_preferences(user=clinician_a, language="de", time_zone="Asia/Kolkata")
    client = client_of(clinician_a)
    answer = client.get(f"/api/v1/patients/{patient_a.pk}/", headers={"Accept-Language": "de"})
    assert answer.json()["created_at"].endswith(("Z", "+00:00"))
    missing = client.get(f"/api/v1/patients/{clinician_a.pk}/", headers={"Accept-Language": "de"})
    assert missing.json()["message"] == "There is no such thing here."


@pytest.mark.parametrize(
    "choice", [{"time_zone": "Mars/Olympus", "language": ""}, {"time_zone": "", "language": "xx"}]
)
def test_what_is_not_offered_is_not_taken(
    clinician_a: User, client_of: ClientOf, choice: dict[str, str]
) -> None:
    response = client_of(clinician_a).post("/account/", choice)
    assert response.status_code == 200
    assert b"field-error" in response.content
    with pytest.raises(InvalidInput):
        set_preferences(user=clinician_a, **choice)


def test_a_site_takes_only_zones_that_exist(admin_a: User, north: Site) -> None:
    with pytest.raises(InvalidInput):
        set_site_time_zone(actor=admin_a, site=north, time_zone="Mars/Olympus")
    north.refresh_from_db()
    assert north.time_zone == ""


def test_a_site_is_set_by_its_own_administrator_only(
    clinician_a: User, admin_b: User, north: Site
) -> None:
    for stranger in (clinician_a, admin_b):
        with pytest.raises(Forbidden):
            set_site_time_zone(actor=stranger, site=north, time_zone="Europe/Berlin")


def test_changes_are_written_down_once(admin_a: User, north: Site) -> None:
    for _ in range(2):
        set_preferences(user=admin_a, language="de", time_zone="")
        set_site_time_zone(actor=admin_a, site=north, time_zone="Europe/Berlin")
    assert Event.objects.filter(action="user.set_preferences").count() == 1
    event = Event.objects.get(action="site.set_time_zone")
    assert event.detail == {"from": "", "to": "Europe/Berlin"}
    assert event.site_id == north.pk == membership_of(admin_a).site_id


def test_a_zone_that_is_gone_does_no_harm() -> None:
    assert zone_named("Gone/Away", "Europe/Berlin").key == "Europe/Berlin"
    assert zone_named("", "Gone/Away").key == "UTC"
    assert zone_named("../etc/passwd").key == "UTC"


def test_zones_are_those_of_places() -> None:
    zones = known_zones()
    assert zones[0] == "UTC"
    assert {"Europe/Berlin", "America/New_York", "Asia/Tokyo"} <= set(zones)
    assert not {"EST5EDT", "GB", "Etc/GMT+5"} & set(zones)
    with pytest.raises(ValidationError):
        check_zone("GB")
