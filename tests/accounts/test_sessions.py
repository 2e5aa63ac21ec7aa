"""Sessions: which there are, who may end them, and when they end by themselves."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.sessions.backends.base import UpdateError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from screening.accounts.models import Session, Site, User
from screening.accounts.services.second_factors import reset_second_factor
from screening.accounts.user_agents import in_words
from screening.audit.models import Event
from tests.personas import PASSWORD, ClientOf, membership_of

PAGE = "/account/sessions/"
ADD_APP = "/account/second-factor/app/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def sign_in(user: User, **how: Any) -> Client:
    client = Client(**how)
    data = {"username": user.username, "password": PASSWORD}
    assert client.post("/login/", data).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def test_the_list_tells_device_place_and_time_and_marks_this_one(clinician_a: User) -> None:
    here = sign_in(clinician_a, headers={"User-Agent": FIREFOX}, REMOTE_ADDR="192.0.2.4")
    sign_in(clinician_a, REMOTE_ADDR="198.51.100.7")
    text = strip_tags(here.get(PAGE).content.decode())
    assert "Firefox, Linux" in text
    assert "192.0.2.4" in text
    assert "198.51.100.7" in text
    assert text.count("This session") == 1
    assert [s.address for s in Session.objects.filter(device="Firefox, Linux")] == ["192.0.2.4"]


def test_an_ended_session_is_refused_at_its_very_next_request(clinician_a: User) -> None:
    here, there = sign_in(clinician_a), sign_in(clinician_a)
    handle = there.session["handle"]
    assert here.post(f"{PAGE}{handle}/end/").status_code == 302
    assert not is_in(there)
    assert is_in(here)
    [event] = Event.objects.filter(action="session.revoke")
    assert (event.actor_id, event.object_id) == (clinician_a.pk, str(clinician_a.pk))
    # Not even a request that was under way brings it back.
    assert here.post(f"{PAGE}{handle}/end/").status_code == 404


def test_a_request_under_way_does_not_bring_an_ended_session_back(clinician_a: User) -> None:
    there = sign_in(clinician_a)
    under_way = there.session
    assert under_way["handle"]
    Session.objects.filter(user=clinician_a).delete()
    under_way["late"] = True
    with pytest.raises(UpdateError):
        under_way.save()
    assert not is_in(there)


def test_all_others_end_and_this_one_stays(clinician_a: User) -> None:
    here, *others = (sign_in(clinician_a) for _ in range(3))
    here.post(f"{PAGE}end-others/")
    assert is_in(here)
    assert not any(is_in(one) for one in others)
    [event] = Event.objects.filter(action="session.revoke")
    assert event.detail["sessions"] == 2


def test_nobody_ends_somebody_elses(
    client_of: ClientOf, clinician_a: User, clinician_b: User, admin_a: User
) -> None:
    mine = sign_in(clinician_a)
    for stranger in (clinician_b, admin_a):
        client = client_of(stranger)
        assert client.post(f"{PAGE}{mine.session['handle']}/end/").status_code == 404
        client.post(f"{PAGE}end-others/")
    assert is_in(mine)


def test_an_admin_ends_all_of_a_colleague_at_once(
    client_of: ClientOf, clinician_a: User, admin_a: User
) -> None:
    ones = [sign_in(clinician_a) for _ in range(2)]
    admin = client_of(admin_a)
    admin.post(f"/users/{membership_of(clinician_a).pk}/end-sessions/")
    assert not any(is_in(one) for one in ones)
    assert is_in(admin)
    [event] = Event.objects.filter(action="session.revoke")
    assert (event.actor_id, event.object_id) == (admin_a.pk, str(clinician_a.pk))


def test_a_new_password_ends_the_others_and_lists_only_this_one(clinician_a: User) -> None:
    here, there = sign_in(clinician_a), sign_in(clinician_a)
    new = "lantern-over-quiet-water-7"
    data = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/account/password/", data).status_code == 302
    assert is_in(here)
    assert Session.objects.filter(user=clinician_a).count() == 1
    assert not is_in(there)


def test_another_second_factor_ends_the_others(clinician_a: User, admin_a: User) -> None:
    here, there = sign_in(clinician_a), sign_in(clinician_a)
    secret = re.findall(r"data-secret>([A-Z2-7 ]+)<", here.get(ADD_APP).content.decode())[0]
    code = format_hotp_value(hotp_value(secret.replace(" ", ""), int(time.time()) // 30))
    assert here.post(ADD_APP, {"code": code}).status_code == 200
    assert is_in(here)
    assert not is_in(there)
    reset_second_factor(actor=admin_a, membership=membership_of(clinician_a))
    assert not is_in(here)


def test_the_database_holds_no_key_that_opens_a_session(clinician_a: User) -> None:
    client = sign_in(clinician_a)
    [row] = Session.objects.filter(user=clinician_a)
    assert row.session_key != client.session.session_key
    thief = Client()
    thief.cookies["sessionid"] = row.session_key
    assert not is_in(thief)


class TestIdle:
    @pytest.fixture
    def client(self, clinician_a: User) -> Client:
        return sign_in(clinician_a)

    def last_seen(self, client: Client, seconds_ago: float) -> None:
        session = client.session
        session["renewed_at"] = time.time() - seconds_ago
        session.save()

    def test_it_ends_so_long_after_the_last_act(self, client: Client, settings: Any) -> None:
        self.last_seen(client, settings.SESSION_COOKIE_AGE - 5)
        assert is_in(client)
        self.last_seen(client, settings.SESSION_COOKIE_AGE + 1)
        assert not is_in(client)

    def test_what_a_page_asks_by_itself_moves_nothing(self, client: Client, settings: Any) -> None:
        self.last_seen(client, settings.SESSION_COOKIE_AGE - 100)
        for name in ("worklist:rows", "worklist:bell"):
            assert client.get(reverse(name)).status_code == 200, name
        state = client.get("/account/session/").json()
        assert 90 < state["idle_s"] <= 100
        assert client.post("/account/session/renew/").json()["idle_s"] > 1000

    def test_whatever_writes_a_session_does_not_renew_it(
        self, client: Client, settings: Any
    ) -> None:
        self.last_seen(client, settings.SESSION_COOKIE_AGE - 100)
        session = client.session
        session["something"] = "else"
        session.save()
        left = Session.objects.get(handle=session["handle"]).expire_date - timezone.now()
        assert left < timedelta(seconds=101)

    def test_a_site_wants_less_and_the_strictest_of_several_counts(
        self, client: Client, clinician_a: User, north: Site, south: Site
    ) -> None:
        clinician_a.memberships.create(site=south, role="clinician")
        Site.objects.filter(pk=north.pk).update(idle_minutes=20)
        Site.objects.filter(pk=south.pk).update(idle_minutes=5)
        assert client.post("/account/session/renew/").json()["idle_s"] <= 300
        self.last_seen(client, 301)
        assert not is_in(client)

    def test_a_site_can_not_want_more_than_the_deployment(
        self, client_of: ClientOf, admin_a: User, north: Site, settings: Any
    ) -> None:
        admin = client_of(admin_a)
        for minutes, status in (("31", 200), ("0", 200), ("x", 200), ("10", 302), ("", 302)):
            answer = admin.post("/site/settings/", {"time_zone": "UTC", "idle_minutes": minutes})
            assert answer.status_code == status, minutes
        Site.objects.filter(pk=north.pk).update(idle_minutes=25)
        settings.SESSION_COOKIE_AGE = 600  # The operator has lowered the maximum since.
        assert admin.post("/account/session/renew/").json()["idle_s"] <= 600
        changes = Event.objects.filter(action="site.set_idle_time").order_by("id")
        assert [e.detail["to"] for e in changes] == [10, None]


@pytest.mark.once
def test_every_view_that_pages_poll_is_known_to_be_quiet(settings: Any) -> None:
    """A page that asks by itself must not keep an unattended session alive."""
    polled = set()
    for folder in settings.TEMPLATES[0]["DIRS"]:
        for path in Path(folder).rglob("*.html"):
            for tag in re.findall(
                r"<[^<>]*(?:<[^<>]*>[^<>]*)*hx-trigger=\"every[^>]*", path.read_text()
            ):
                polled |= set(re.findall(r"hx-(?:get|post)=\"{% url '([\w:]+)'", tag))
    assert polled
    assert polled <= settings.SESSION_QUIET_VIEWS


@pytest.mark.once
@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox, Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge, Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "Safari, iPhone",
        ),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome, Android"),
        ("curl/8.0", ""),
        ("", ""),
    ],
)
def test_browsers_in_words(agent: str, words: str) -> None:
    assert in_words(agent) == words
