"""Every address × every person: nobody gets what is not theirs, and no address is forgotten."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import get_resolver, path

from portal.selftest import routes
from screening.accounts.access import signed_in
from screening.accounts.models import User
from screening.accounts.services.tokens import issue_token
from tests.permissions import headers, matrix
from tests.permissions.events import EVENTS, expected, noted
from tests.permissions.further import FURTHER
from tests.permissions.matrix import LOGIN, PERSONAS, ROWS, Outcome, Row
from tests.permissions.objects import Objects
from tests.permissions.undoing import undone
from tests.personas import ClientOf

EVERY_ROUTE = list(routes.routes(get_resolver().url_patterns))
LISTED = {row.route for row in ROWS}
CLOSED = [route for route in EVERY_ROUTE if route.pattern not in matrix.PUBLIC]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# What North's patients and people are called: no stranger may ever read it.
CANARIES = (b"Nordlund", b"Nina", b"N-1001", b"alice@example.org", b"i@example.org")

People = dict[str, User | None]


def test_every_address_has_a_row() -> None:
    assert routes.unlisted(EVERY_ROUTE, LISTED) == set()


def test_every_row_has_an_address() -> None:
    assert routes.gone(EVERY_ROUTE, LISTED) == set()


def test_the_audit_has_something_to_say_of_every_row() -> None:
    assert set(EVENTS) == {str(row) for row in ROWS}


def test_every_view_says_who_may_come_in() -> None:
    assert routes.unmarked(EVERY_ROUTE) == set()


def test_exactly_the_pages_meant_for_everybody_are_public() -> None:
    assert routes.public(EVERY_ROUTE) == matrix.PUBLIC


def test_the_gate_closes() -> None:
    """Feed it what it must not let through."""

    def forgotten(request: Any) -> HttpResponseBase:
        raise AssertionError

    @signed_in
    def marked(request: Any) -> HttpResponseBase:
        raise AssertionError

    found = list(
        routes.routes([path("login/", marked), path("new/", marked), path("x/", forgotten)])
    )
    assert routes.unlisted(found, LISTED) == {"new/", "x/"}
    assert "users/" in routes.gone(found, LISTED)
    assert routes.unmarked(found) == {"x/"}
    assert routes.public(EVERY_ROUTE) - {"login/"} != matrix.PUBLIC


def test_every_further_person_is_known_to_the_rows() -> None:
    names = {person.name for person in FURTHER}
    assert {name for row in ROWS for name in row.but} <= names
    assert not names & set(PERSONAS)
    assert len(names) + len(PERSONAS) >= 8


@pytest.fixture(scope="module")
def world(
    accounts_of_north: Objects, exports_of_north: Objects, emergency_of_north: Objects
) -> Objects:
    """What stands for each name in an address."""
    return {**accounts_of_north, **exports_of_north, **emergency_of_north}


def _named(route: str, world: Objects) -> Objects:
    """The same, where one name means different things in different addresses."""
    found = dict(world)
    found["token"] = found["invitation_token" if "invitation" in route else "reset_token"]
    if "/uploads/<uuid:study_id>" in route and not route.startswith("api/"):
        found["study_id"] = found["new_study_id"]
    return found


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_who_gets_what(row: Row, people: People, world: Objects, client_of: ClientOf) -> None:
    """And what the audit says about it: see ``events``."""
    got, said, wanted = {}, {}, dict(row.expected)
    objects = _named(row.route, world)
    for persona in PERSONAS:
        with undone():
            client = client_of(people[persona])
            with noted() as said[persona]:
                response = _send(client, row, objects)
            got[persona] = _outcome(response)
            assert headers.faults_of(response) == [], f"{row} as {persona}"
            if persona not in ("clinician_a", "admin_a") and "token>" not in row.route:
                _assert_no_canary(response, f"{row} as {persona}")
    for person in FURTHER:
        with undone():
            response = _send(person.arrives(people, client_of), row, objects)
            got[person.name] = _outcome(response)
            assert headers.faults_of(response) == [], f"{row} as {person.name}"
            if not person.sees_north and "token>" not in row.route:
                _assert_no_canary(response, f"{row} as {person.name}")
        wanted[person.name] = row.but.get(person.name, person.usually(row))
    assert got == wanted
    assert said == {persona: expected(str(row), persona, got[persona]) for persona in PERSONAS}


@pytest.mark.once
@pytest.mark.parametrize(
    "row",
    [r for r in ROWS if r.is_api and "auth/" not in r.route],
    ids=str,
)
def test_a_token_gives_what_a_session_gives(row: Row, people: People, world: Objects) -> None:
    got: dict[str, Outcome] = {}
    objects = _named(row.route, world)
    for persona in PERSONAS:
        user = people[persona]
        with undone():
            headers = {"Authorization": f"Token {issue_token(user=user)}"} if user else {}
            with noted() as said:
                got[persona] = _outcome(_send(Client(headers=headers), row, objects))
            is_in = persona not in ("anonymous", "deactivated")
            assert said == (expected(str(row), persona, got[persona], token=True) if is_in else [])
    assert got == row.expected


# What follows asks every address by every method, and nothing of it depends on the database's kind.
@pytest.mark.once
@pytest.mark.parametrize("route", [r for r in CLOSED if r.places], ids=lambda route: route.pattern)
def test_for_another_site_an_object_does_not_exist_by_any_method(
    route: routes.Route, people: People, world: Objects, client_of: ClientOf
) -> None:
    where = routes.address(route.pattern, _named(route.pattern, world))
    for persona in ("clinician_b", "admin_b"):
        with undone():
            client = client_of(people[persona])
            for method in METHODS:
                response = client.generic(method, where)
                allowed = {404, 405} | ({200} if method == "OPTIONS" and route.is_api else set())
                assert response.status_code in allowed, (method, persona)
                _assert_no_canary(response, f"{method} {where} as {persona}")


@pytest.mark.once
@pytest.mark.parametrize("route", CLOSED, ids=lambda route: route.pattern or "(home)")
def test_without_signing_in_nothing_happens_by_any_method(
    route: routes.Route, world: Objects
) -> None:
    where = routes.address(route.pattern, _named(route.pattern, world))
    with undone():
        for method in METHODS:
            outcome = _outcome(Client().generic(method, where))
            assert outcome == (401 if route.is_api else LOGIN), method


def _send(client: Client, row: Row, objects: dict[str, str]) -> Any:
    named = {**objects, **{name: objects[other] for name, other in row.objects.items()}}
    where = routes.address(row.route, named)
    data = {
        key: value.format(**named) if isinstance(value, str) else value
        for key, value in row.data().items()
    }
    if row.method == "GET":
        return client.get(where, data)
    if row.json or row.method != "POST":
        return client.generic(row.method, where, json.dumps(data), content_type="application/json")
    return client.post(where, data)


def _outcome(response: Any) -> Outcome:
    if response.status_code in (301, 302, 303):
        return LOGIN if response["Location"].startswith("/login/") else matrix.DONE
    return int(response.status_code)


def _assert_no_canary(response: Any, what: str) -> None:
    body = b"".join(response) if response.streaming else response.content
    for canary in CANARIES:
        assert canary not in body, what


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Security-Policy", "default-src 'none'; script-src 'self' 'unsafe-inline'"),
        ("Cache-Control", "private, max-age=60"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Permissions-Policy", "camera=(self)"),
    ],
)
def test_a_header_that_is_loosened_would_be_noticed(name: str, value: str) -> None:
    response = Client().get("/healthz")
    assert headers.faults_of(response) == []
    response[name] = value
    assert headers.faults_of(response) != []
