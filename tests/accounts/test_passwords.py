"""Changing a password, and the way back in for somebody who forgot it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core import mail
from django.test import Client

from screening.accounts.models import ApiToken, Membership, Role, Site, User
from screening.accounts.services.tokens import issue_token
from screening.audit.models import Event
from tests.personas import PASSWORD, ClientOf, make_user, membership_of

FRESH = "lantern-over-quiet-water-7"
DEAD = "This link does not work any more"


def can_sign_in(username: str, password: str) -> bool:
    answer = Client().post("/login/", {"username": username, "password": password})
    return answer.status_code == 302


def change(client: Client, old: str = PASSWORD, new: str = FRESH, again: str = FRESH) -> Any:
    return client.post(
        "/account/password/",
        {"old_password": old, "new_password1": new, "new_password2": again},
        follow=True,
    )


def test_changing_it_ends_every_other_session_and_token_but_not_this_one(
    client_of: ClientOf, clinician_a: User
) -> None:
    here, elsewhere = client_of(clinician_a), client_of(clinician_a)
    issue_token(user=clinician_a)
    key_before = here.session.session_key
    assert "Your password is changed." in change(here).content.decode()
    assert here.get("/patients/").status_code == 200
    assert here.session.session_key != key_before
    assert elsewhere.get("/patients/").status_code == 302
    assert not ApiToken.objects.exists()
    assert can_sign_in("alice", FRESH)
    assert not can_sign_in("alice", PASSWORD)
    assert Event.objects.filter(action="user.change_password").count() == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"old": "wrong"}, "Your old password was entered incorrectly"),
        ({"new": "short", "again": "short"}, "too short"),
        ({"new": "alicearcher", "again": "alicearcher"}, "too similar"),
        ({"new": "1234567890123", "again": "1234567890123"}, "entirely numeric"),
        ({"again": "another-one-entirely"}, "didn’t match"),
    ],
)
def test_mistakes_change_nothing(
    client_of: ClientOf, clinician_a: User, values: dict[str, str], sentence: str
) -> None:
    assert sentence in change(client_of(clinician_a), **values).content.decode()
    assert can_sign_in("alice", PASSWORD)
    assert not Event.objects.filter(action="user.change_password").exists()


def start_reset(client: Client, user: User, site: Site | None = None) -> Any:
    return client.post(f"/users/{membership_of(user, site).pk}/reset-password/")


def link_in(page: str) -> str:
    [link] = re.findall(r'value="(http://testserver/reset/[^"]+)"', page)
    return urlsplit(link).path


def use_link(link: str, password: str = FRESH) -> tuple[Client, Any]:
    """Open the link as a browser does, and choose a password on the page it leads to."""
    client = Client()
    opened = client.get(link, follow=True)
    if not opened.redirect_chain:
        return client, opened
    page = opened.redirect_chain[-1][0]
    return client, client.post(
        page, {"new_password1": password, "new_password2": password}, follow=True
    )


def test_the_whole_way_back_in(client_of: ClientOf, admin_a: User, clinician_a: User) -> None:
    theirs = client_of(clinician_a)
    link = link_in(start_reset(client_of(admin_a), clinician_a).content.decode())
    assert theirs.get("/patients/").status_code == 200  # Nothing has changed yet.
    _, done = use_link(link)
    assert "Your new password is set." in done.content.decode()
    assert theirs.get("/patients/").status_code == 302
    assert can_sign_in("alice", FRESH)
    assert not can_sign_in("alice", PASSWORD)
    events = Event.objects.filter(action__contains="_reset").order_by("id")
    assert [(e.action, e.actor_id) for e in events] == [
        ("user.start_reset", admin_a.pk),
        ("user.finish_reset", clinician_a.pk),
    ]


def test_the_link_works_once(client_of: ClientOf, admin_a: User, clinician_a: User) -> None:
    link = link_in(start_reset(client_of(admin_a), clinician_a).content.decode())
    waiting = Client()
    page = waiting.get(link, follow=True).redirect_chain[-1][0]
    use_link(link)
    _, again = use_link(link, "mallory-was-here-too-9")
    assert DEAD in again.content.decode()
    late = waiting.post(page, {"new_password1": "mallory-9-9-9", "new_password2": "mallory-9-9-9"})
    assert DEAD in late.content.decode()
    assert can_sign_in("alice", FRESH)


def test_the_link_dies_after_a_day(
    client_of: ClientOf, admin_a: User, clinician_a: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_in(start_reset(client_of(admin_a), clinician_a).content.decode())
    later = datetime.now() + timedelta(hours=24, minutes=1)
    monkeypatch.setattr(PasswordResetTokenGenerator, "_now", lambda self: later)
    assert DEAD in use_link(link)[1].content.decode()


def test_a_weak_new_password_is_refused_and_the_link_lives_on(
    client_of: ClientOf, admin_a: User, clinician_a: User
) -> None:
    link = link_in(start_reset(client_of(admin_a), clinician_a).content.decode())
    assert "too short" in use_link(link, "short")[1].content.decode()
    use_link(link)
    assert can_sign_in("alice", FRESH)


def test_somebody_deactivated_has_no_way_back(
    client_of: ClientOf, admin_a: User, clinician_a: User, deactivated: User
) -> None:
    admin = client_of(admin_a)
    refused = start_reset(admin, deactivated)
    assert refused.status_code == 409
    assert "Reactivate the user first" in refused.content.decode()
    link = link_in(start_reset(admin, clinician_a).content.decode())
    Membership.objects.filter(user=clinician_a).update(is_active=False)
    assert DEAD in use_link(link)[1].content.decode()


@pytest.mark.parametrize("link", ["/reset/MQ/set-password/", "/reset/%00/x-y/", "/reset/x/y/"])
def test_a_made_up_link_is_dead(db: None, link: str) -> None:
    answer = Client().get(link)
    assert answer.status_code == 200
    assert DEAD in answer.content.decode()


def test_where_a_mail_server_is_set_up_only_the_person_gets_the_link(
    client_of: ClientOf, admin_a: User, clinician_a: User, settings: Any
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    page = start_reset(client_of(admin_a), clinician_a).content.decode()
    assert "/reset/" not in page
    [letter] = mail.outbox
    assert letter.to == ["alice@example.org"]
    [link] = re.findall(r"http://testserver(/reset/\S+)", str(letter.body))
    use_link(link)
    assert can_sign_in("alice", FRESH)


class TestSomebodyWhoAlsoWorksElsewhere:
    """Whoever holds the link is that person, at the other site too."""

    @pytest.fixture
    def double(self, north: Site, south: Site) -> User:
        user = make_user(north, username="double")
        Membership.objects.create(user=user, site=south, role=Role.ADMIN)
        return user

    def test_an_admin_of_one_site_is_not_shown_the_link(
        self, client_of: ClientOf, admin_a: User, double: User, north: Site
    ) -> None:
        refused = start_reset(client_of(admin_a), double, north)
        assert refused.status_code == 409
        assert 'data-code="works_elsewhere"' in refused.content.decode()
        assert "/reset/" not in refused.content.decode()
        assert not Event.objects.filter(action="user.start_reset").exists()

    def test_an_admin_of_both_is(
        self, client_of: ClientOf, admin_a: User, double: User, north: Site, south: Site
    ) -> None:
        Membership.objects.create(user=admin_a, site=south, role=Role.ADMIN)
        assert link_in(start_reset(client_of(admin_a), double, north).content.decode())

    def test_by_mail_it_may_go(
        self,
        client_of: ClientOf,
        admin_a: User,
        double: User,
        north: Site,
        settings: Any,
    ) -> None:
        settings.EMAIL_HOST = "mail.example.org"
        assert start_reset(client_of(admin_a), double, north).status_code == 200
        assert len(mail.outbox) == 1
