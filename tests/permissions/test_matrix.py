"""Every address × every person: nobody gets what is not theirs, and no address is forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import get_resolver, path

from screening.accounts.access import signed_in
from screening.accounts.models import User
from screening.accounts.services.tokens import issue_token
from tests.permissions import matrix, routes
from tests.permissions.matrix import LOGIN, PERSONAS, ROWS, Outcome, Row
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


@pytest.fixture
def objects(request: pytest.FixtureRequest, accounts_of_north: dict[str, str]) -> dict[str, str]:
    """What stands for each name in an address; studies are made only where they are named."""
    route = _route_of(request)
    found = dict(accounts_of_north)
    named = ("patient_id", "study_id", "image_id", "model_id", "api/v1/studies/")
    if any(name in route for name in named):
        found.update(request.getfixturevalue("studies_of_north"))
    found["token"] = found["invitation_token" if "invitation" in route else "reset_token"]
    if "uploads/" in route:
        found["study_id"] = found["new_study_id"]
    return found


@contextmanager
def undone() -> Iterator[None]:
    """Each person finds the database as it was before the one before."""
    # Not ``atomic``: the intake insists on the outermost transaction.
    savepoint = transaction.savepoint()
    try:
        yield
    finally:
        transaction.savepoint_rollback(savepoint)


def _route_of(request: pytest.FixtureRequest) -> str:
    asked = request.node.callspec.params
    return asked["row"].route if "row" in asked else asked["route"].pattern


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_who_gets_what(
    row: Row, people: People, objects: dict[str, str], client_of: ClientOf
) -> None:
    got = {}
    for persona in PERSONAS:
        with undone():
            response = _send(client_of(people[persona]), row, objects)
            got[persona] = _outcome(response)
            if persona not in ("clinician_a", "admin_a") and "token>" not in row.route:
                _assert_no_canary(response, f"{row} as {persona}")
    assert got == row.expected


@pytest.mark.parametrize(
    "row",
    [r for r in ROWS if r.route.startswith("api/") and "auth/" not in r.route],
    ids=str,
)
def test_a_token_gives_what_a_session_gives(
    row: Row, people: People, objects: dict[str, str]
) -> None:
    got: dict[str, Outcome] = {}
    for persona in PERSONAS:
        user = people[persona]
        with undone():
            headers = {"Authorization": f"Token {issue_token(user=user)}"} if user else {}
            got[persona] = _outcome(_send(Client(headers=headers), row, objects))
    assert got == row.expected


@pytest.mark.parametrize("route", [r for r in CLOSED if r.places], ids=lambda route: route.pattern)
def test_for_another_site_an_object_does_not_exist_by_any_method(
    route: routes.Route, people: People, objects: dict[str, str], client_of: ClientOf
) -> None:
    where = routes.address(route.pattern, objects)
    for persona in ("clinician_b", "admin_b"):
        for method in METHODS:
            response = client_of(people[persona]).generic(method, where)
            allowed = {404, 405} | ({200} if method == "OPTIONS" and route.is_api else set())
            assert response.status_code in allowed, (method, persona)
            _assert_no_canary(response, f"{method} {where} as {persona}")


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: route.pattern or "(home)")
def test_without_signing_in_nothing_happens_by_any_method(
    route: routes.Route, people: People, objects: dict[str, str]
) -> None:
    where = routes.address(route.pattern, objects)
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
