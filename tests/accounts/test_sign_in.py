"""Signing in and out, and what ends a session."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from screening.accounts.forms import WRONG_LOGIN
from screening.accounts.models import Membership, Site, User
from screening.audit.models import Event
from tests.personas import PASSWORD, ClientOf, make_user

LOGIN = "/login/"


def events(action: str) -> list[Event]:
    return list(Event.objects.filter(action=action))


def sign_in(client: Client, username: str, password: str = PASSWORD, **data: str) -> Any:
    return client.post(LOGIN, {"username": username, "password": password, **data})


def test_a_clinician_signs_in_whatever_the_capitals_and_leaves_one_event(
    client: Client, clinician_a: User, north: Site
) -> None:
    response = sign_in(client, "Alice")
    assert response.status_code == 302
    assert response["Location"] == "/"
    assert client.get("/account/password/").status_code == 200
    [event] = events("session.start")
    assert (event.actor_id, event.actor_name) == (clinician_a.pk, "alice")
    assert event.site_id == north.pk
    assert event.remote_addr == "127.0.0.1"
    assert not events("session.refuse")


@pytest.mark.parametrize(
    ("username", "password"),
    [("alice", "wrong"), ("nobody", PASSWORD), ("dora", PASSWORD), ("dora", "wrong")],
)
def test_every_refusal_reads_the_same(
    client: Client, clinician_a: User, deactivated: User, username: str, password: str
) -> None:
    response = sign_in(client, username, password)
    assert response.status_code == 200
    assert str(WRONG_LOGIN) in response.content.decode()
    assert client.get("/account/password/").status_code == 302
    [event] = events("session.refuse")
    assert event.outcome == "failed"
    assert event.actor_id is None
    assert username not in str(event.detail) + event.actor_name
    assert not events("session.start")


def test_somebody_unknown_costs_the_same_hashing_as_somebody_known(
    client: Client, clinician_a: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the time to an answer would tell whether an account exists."""
    hashed: list[str] = []
    from django.contrib.auth.hashers import MD5PasswordHasher

    encode = MD5PasswordHasher.encode

    def counting(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
    sign_in(client, "alice", "wrong")
    known = len(hashed)
    sign_in(client, "nobody", "wrong")
    assert known >= 1
    assert len(hashed) == 2 * known


def test_the_session_gets_a_new_key_at_sign_in(client: Client, clinician_a: User) -> None:
    client.get(LOGIN)
    session = client.session
    session["planted"] = "by an attacker"
    session.save()
    before = session.session_key
    sign_in(client, "alice")
    assert client.session.session_key != before


def test_after_signing_in_one_returns_to_the_page_asked_for_but_never_to_another_host(
    client: Client, clinician_a: User
) -> None:
    turned_away = client.get("/account/password/")
    assert turned_away["Location"] == "/login/?next=/account/password/"
    assert sign_in(client, "alice", next="/account/password/")["Location"] == "/account/password/"
    client.logout()
    assert sign_in(client, "alice", next="https://evil.example/")["Location"] == "/"


def test_signing_out_needs_a_post_and_leaves_one_event(
    client_of: ClientOf, clinician_a: User
) -> None:
    client = client_of(clinician_a)
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/")["Location"] == LOGIN
    assert client.get("/account/password/").status_code == 302
    [event] = events("session.end")
    assert event.actor_id == clinician_a.pk


def test_a_form_without_its_token_is_refused(client_of: ClientOf, clinician_a: User) -> None:
    assert client_of(clinician_a, csrf=True).post("/logout/").status_code == 403
    [event] = events("access.deny")
    assert (event.actor_id, event.detail) == (
        clinician_a.pk,
        {"method": "POST", "route": "accounts:logout"},
    )


class TestDeactivatedInTheMiddleOfASession:
    """The very next request is refused, in the language of whoever asks."""

    @pytest.fixture
    def client(self, client_of: ClientOf, clinician_a: User) -> Client:
        client = client_of(clinician_a)
        assert client.get("/account/password/").status_code == 200
        Membership.objects.filter(user=clinician_a).update(is_active=False)
        return client

    def test_a_page_leads_to_signing_in_and_says_why(self, client: Client) -> None:
        response = client.get("/account/password/", follow=True)
        assert response.redirect_chain[0][0].startswith(LOGIN)
        assert "Your account is not active" in response.content.decode()
        assert client.get("/account/password/")["Location"] == "/login/?next=/account/password/"

    def test_a_fragment_is_refused_and_htmx_leaves_the_page(self, client: Client) -> None:
        response = client.get(
            "/account/password/",
            headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/patients/?q=x"},
        )
        assert response.status_code == 401
        assert response["HX-Redirect"] == "/login/?next=%2Fpatients%2F&closed=inactive"

    def test_the_api_answers_in_its_own_form(self, client: Client) -> None:
        response = client.post("/api/v1/auth/token/revoke/")
        assert response.status_code == 401
        assert response.json()["code"] == "not_active"


def test_a_script_without_a_session_is_told_401(client: Client, db: None) -> None:
    for headers in ({"Accept": "application/json"}, {"HX-Request": "true"}):
        assert client.get("/account/password/", headers=headers).status_code == 401


def test_a_session_ends_after_its_hard_age_however_busy(
    client_of: ClientOf, clinician_a: User, settings: Any
) -> None:
    client = client_of(clinician_a)
    session = client.session
    too_old = timezone.now() - timedelta(seconds=settings.SESSION_HARD_AGE_S + 1)
    session["signed_in_at"] = too_old.timestamp()
    session.save()
    response = client.get("/account/password/", follow=True)
    assert response.redirect_chain[0][0].startswith(LOGIN)
    assert "signed in for long enough" in response.content.decode()


def test_a_member_of_two_sites_stays_in_when_one_of_them_ends(
    client_of: ClientOf, clinician_a: User, north: Site, south: Site
) -> None:
    Membership.objects.create(user=clinician_a, site=south, role="clinician")
    client = client_of(clinician_a)
    Membership.objects.filter(user=clinician_a, site=north).update(is_active=False)
    assert client.get("/account/password/").status_code == 200


def test_the_sign_in_page_shows_no_navigation_and_no_text_of_a_stranger(
    client: Client, db: None
) -> None:
    page = client.get(LOGIN + "?closed=<script>alert(1)</script>").content.decode()
    assert "alert(1)" not in page
    assert "/patients/" not in page


def test_two_user_names_that_differ_in_capitals_only_cannot_be_made(north: Site) -> None:
    from django.db import IntegrityError

    make_user(north, username="carla")
    with pytest.raises(IntegrityError):
        make_user(north, username="Carla")
