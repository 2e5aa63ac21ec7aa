"""Dangerous acts need a fresh proof of identity; the question leads back to them."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from screening.accounts.models import User
from screening.accounts.reauthentication import PROVED_AT, require_recent_sign_in
from screening.audit.models import Event
from tests.personas import PASSWORD, ClientOf

QUESTION = "/account/confirm/"


@require_recent_sign_in
def dangerous(request: HttpRequest) -> HttpResponse:
    return HttpResponse("done")


def asked(client: Client, *, method: str = "GET", path: str = "/x/?y=1", **headers: str) -> Any:
    """What the guarded page says to a request with the session of ``client``."""
    request = getattr(RequestFactory(headers=headers), method.lower())(path)
    request.session = client.session
    return dangerous(request)


@pytest.fixture
def recent(client_of: ClientOf, clinician_a: User) -> Client:
    return client_of(clinician_a)


@pytest.fixture
def stale(recent: Client, settings: Any) -> Client:
    session = recent.session
    session[PROVED_AT] -= settings.RECENT_SIGN_IN_S + 1
    session.save()
    return recent


def test_a_fresh_sign_in_is_proof_enough(recent: Client) -> None:
    assert asked(recent).content == b"done"


def test_a_page_leads_to_the_question_and_back(stale: Client) -> None:
    assert asked(stale)["Location"] == f"{QUESTION}?next=%2Fx%2F%3Fy%3D1"


def test_a_form_leads_back_to_the_page_that_sent_it_and_to_no_other_host(stale: Client) -> None:
    sent = asked(stale, method="POST", referer="http://testserver/users/?q=1")
    assert sent["Location"] == f"{QUESTION}?next=%2Fusers%2F%3Fq%3D1"
    for elsewhere in ("https://evil.example/users/", "//evil.example/", ""):
        assert asked(stale, method="POST", referer=elsewhere)["Location"] == QUESTION


def test_scripts_are_told_in_their_own_way(stale: Client) -> None:
    answer = asked(stale, accept="application/json")
    assert (answer.status_code, b"reauthentication_required" in answer.content) == (401, True)
    answer = asked(stale, **{"hx-request": "true", "hx-current-url": "http://testserver/users/"})
    assert (answer.status_code, answer["HX-Redirect"]) == (401, f"{QUESTION}?next=%2Fusers%2F")


def test_the_right_password_opens_it_again_and_leaves_one_event(
    stale: Client, clinician_a: User
) -> None:
    answer = stale.post(QUESTION, {"password": PASSWORD, "next": "/account/"})
    assert answer["Location"] == "/account/"
    assert asked(stale).content == b"done"
    [event] = Event.objects.filter(action="session.confirm")
    assert (event.actor_id, event.detail) == (clinician_a.pk, {"by": "password"})


def test_a_wrong_password_opens_nothing_and_leaves_one_event(
    stale: Client, clinician_a: User
) -> None:
    assert stale.post(QUESTION, {"password": "wrong"}).status_code == 200
    assert asked(stale).status_code == 302
    [event] = Event.objects.filter(action="session.refuse")
    assert (event.object_id, event.outcome) == (str(clinician_a.pk), "failed")


def test_it_never_leads_to_another_host(recent: Client) -> None:
    for elsewhere in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        answer = recent.post(QUESTION, {"password": PASSWORD, "next": elsewhere})
        assert answer["Location"] == "/account/"
