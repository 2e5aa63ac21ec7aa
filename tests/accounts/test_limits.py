"""Guessing is slowed down, everywhere, and nobody can keep a colleague out for long."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.db import connection, connections
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from screening.accounts.models import AttemptCount, Site, User
from screening.accounts.services import limits, second_factors
from screening.accounts.services.limits import (
    CODE_HERE,
    SIGN_IN_ACCOUNT,
    SIGN_IN_ADDRESS,
    SIGN_IN_HERE,
    Rule,
    TooManyAttempts,
    count_attempt,
    place_of,
)
from screening.accounts.tasks import clear_expired
from screening.audit.models import Event
from tests.personas import APP_SECRET, PASSWORD, ClientOf, make_user, membership_of

LOGIN = "/login/"
TOKEN = "/api/v1/auth/token/"


class Clock:
    """The time as the limits see it."""

    def __init__(self) -> None:
        self.moment = timezone.now()

    def now(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limits.timezone, "now", clock.now)
    return clock


def sign_in(client: Client, username: str, password: str = PASSWORD, **meta: Any) -> Any:
    return client.post(LOGIN, {"username": username, "password": password}, **meta)


def guess(username: str, times: int, *, start: int = 0, address: str = "") -> list[int]:
    """The statuses of wrong passwords, from one address or from a new one each time."""
    return [
        sign_in(
            Client(), username, "wrong", REMOTE_ADDR=address or f"192.0.{n // 250}.{n % 250}"
        ).status_code
        for n in range(start, start + times)
    ]


class TestSigningIn:
    def test_the_sixth_guess_from_one_place_is_not_looked_at_however_right(
        self, clinician_a: User, clock: Clock
    ) -> None:
        assert guess("alice", 6, address="192.0.2.1") == [200] * 5 + [429]
        answer = sign_in(Client(), "alice", REMOTE_ADDR="192.0.2.1")
        assert (answer.status_code, answer["Retry-After"]) == (429, "30")
        assert "Please wait 30 seconds" in answer.content.decode()
        reasons = [
            event.detail["reason"] for event in Event.objects.filter(action="session.refuse")
        ]
        assert sorted(reasons) == ["credentials"] * 5 + ["too_many_attempts"] * 2
        clock.forward(31)
        assert sign_in(Client(), "alice", REMOTE_ADDR="192.0.2.1").status_code == 302

    def test_a_name_that_does_not_exist_is_answered_alike(
        self, clinician_a: User, clock: Clock
    ) -> None:
        assert guess("nobody", 6, address="192.0.2.1") == guess("ALICE", 6, address="192.0.2.2")
        assert not AttemptCount.objects.filter(key__icontains="nobody").exists()

    def test_a_colleague_elsewhere_is_not_kept_out(self, clinician_a: User, clock: Clock) -> None:
        guess("alice", 6, address="192.0.2.1")
        assert sign_in(Client(), "alice", REMOTE_ADDR="198.51.100.7").status_code == 302

    def test_many_places_together_keep_nobody_out_for_more_than_a_minute(
        self, clinician_a: User, clock: Clock
    ) -> None:
        for n in range(40):
            guess("alice", 1, start=n)
            clock.forward(61)
        guess("alice", 1, start=40)
        answer = sign_in(Client(), "alice", REMOTE_ADDR="198.51.100.7")
        assert answer.status_code == 429
        assert int(answer["Retry-After"]) <= SIGN_IN_ACCOUNT.longest_s == 60
        clock.forward(61)
        assert sign_in(Client(), "alice", REMOTE_ADDR="198.51.100.7").status_code == 302

    def test_a_device_on_which_the_person_signed_in_before_is_let_through(
        self, clinician_a: User, clock: Clock
    ) -> None:
        known = Client(REMOTE_ADDR="192.0.2.1")
        assert sign_in(known, "alice").status_code == 302
        known.post("/logout/")
        guess("alice", 12)
        guess("alice", 6, address="192.0.2.1")
        assert sign_in(Client(REMOTE_ADDR="192.0.2.1"), "alice").status_code == 429
        assert sign_in(known, "alice").status_code == 302

    def test_a_known_device_is_known_for_its_own_people_only_and_may_not_guess_either(
        self, clinician_a: User, admin_a: User, clock: Clock
    ) -> None:
        known = Client(REMOTE_ADDR="192.0.2.1")
        sign_in(known, "alice")
        known.post("/logout/")
        guess("adam", 6, address="192.0.2.1")
        assert sign_in(known, "adam").status_code == 429
        for _ in range(5):
            sign_in(known, "alice", "wrong")
        assert sign_in(known, "alice").status_code == 429

    def test_a_new_password_makes_every_device_unknown(
        self, clinician_a: User, clock: Clock
    ) -> None:
        known = Client(REMOTE_ADDR="192.0.2.1")
        sign_in(known, "alice")
        known.post("/logout/")
        clinician_a.set_password("lantern-over-quiet-water-7")
        clinician_a.save()
        guess("alice", 6, address="192.0.2.1")
        assert sign_in(known, "alice", "lantern-over-quiet-water-7").status_code == 429

    def test_a_forged_cookie_makes_no_device_known(self, clinician_a: User, clock: Clock) -> None:
        guess("alice", 6, address="192.0.2.1")
        forger = Client(REMOTE_ADDR="192.0.2.1")
        for value in ("", "x", "W10:abc", '["d",["x"]]'):
            forger.cookies["known_device"] = value
            assert sign_in(forger, "alice").status_code == 429

    def test_own_sign_ins_between_the_guesses_hide_nothing(
        self, clinician_a: User, north: Site, clock: Clock
    ) -> None:
        """Somebody with an account tries the accounts of others from the same place."""
        for number in range(SIGN_IN_ADDRESS.free):
            guess(f"user-{number}", 1, address="192.0.2.1")
            if number % 5 == 0:
                sign_in(Client(), "alice", REMOTE_ADDR="192.0.2.1")
        assert guess("another", 1, address="192.0.2.1") == [429]

    def test_programs_are_counted_with_people(self, clinician_a: User, clock: Clock) -> None:
        guess("alice", 5, address="192.0.2.1")
        answer = Client().post(
            TOKEN,
            {"username": "alice", "password": PASSWORD},
            content_type="application/json",
            REMOTE_ADDR="192.0.2.1",
        )
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
        assert answer["Retry-After"] == "30"


class TestEverythingElse:
    def test_second_factors(self, admin_a: User, clock: Clock) -> None:
        client = Client()
        sign_in(client, "adam")
        statuses = [
            client.post("/login/second-factor/", {"code": "000 00x"}).status_code
            for _ in range(CODE_HERE.free + 1)
        ]
        assert statuses == [200] * CODE_HERE.free + [429]

    def test_confirming_and_changing_the_password(
        self, client_of: ClientOf, clinician_a: User, clock: Clock
    ) -> None:
        client = client_of(clinician_a)
        for _ in range(3):
            client.post("/account/confirm/", {"password": "wrong"})
        changing = {"new_password1": "lantern-over-water", "new_password2": "lantern-over-water"}
        for _ in range(2):
            client.post("/account/password/", {"old_password": "wrong", **changing})
        answer = client.post("/account/password/", {"old_password": PASSWORD, **changing})
        assert "Too many attempts" in answer.content.decode()
        assert client.post("/account/confirm/", {"password": PASSWORD}).status_code == 429
        clinician_a.refresh_from_db()
        assert clinician_a.check_password(PASSWORD)

    def test_links(self, client: Client, clinician_a: User, clock: Clock) -> None:
        for number in range(10):
            assert client.get(f"/invitation/x{number}/").status_code == 410
            assert client.get(f"/reset/MQ/x-{number}/").status_code == 200
        assert client.get("/invitation/y/").status_code == 429
        assert client.get("/reset/MQ/y/").status_code == 429
        assert Client(REMOTE_ADDR="192.0.2.9").get("/invitation/y/").status_code == 410

    def test_letters_about_a_reset(
        self, client_of: ClientOf, admin_a: User, clinician_a: User, clock: Clock
    ) -> None:
        address = f"/users/{membership_of(clinician_a).pk}/reset-password/"
        admin = client_of(admin_a)
        assert [admin.post(address).status_code for _ in range(6)] == [200] * 5 + [429]


class TestCounting:
    def test_what_is_over_is_forgotten(self, north: Site, clock: Clock) -> None:
        key = (SIGN_IN_HERE, "somebody@somewhere")
        for _ in range(4):
            count_attempt(key)
        clock.forward(SIGN_IN_HERE.forget_s + 1)
        count_attempt(key)
        assert AttemptCount.objects.get().failures == 1
        clock.forward(limits.KEPT_FOR.total_seconds() + 1)
        clear_expired()
        assert not AttemptCount.objects.exists()

    @given(st.integers(0, 10_000), st.integers(0, 20), st.integers(1, 600), st.integers(1, 3600))
    def test_waiting_grows_and_stays_below_its_ceiling(
        self, failures: int, free: int, first_s: int, longest_s: int
    ) -> None:
        rule = Rule("x", free=free, first_s=first_s, longest_s=longest_s)
        wait = rule.wait_s(failures)
        assert 0 <= wait <= longest_s
        assert wait <= rule.wait_s(failures + 1)
        assert (wait == 0) is (failures < free)

    @pytest.mark.parametrize(
        ("address", "place"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
            ("", "unknown"),
        ],
    )
    def test_a_place(self, address: str, place: str) -> None:
        assert place_of(address) == place


@pytest.mark.django_db(transaction=True)
class TestAtTheSameMoment:
    def test_guesses_in_parallel_are_all_counted(self, shape: str) -> None:
        rule = Rule("parallel", free=5, first_s=60, longest_s=60)

        def one(_number: int) -> bool:
            try:
                count_attempt((rule, "x"), (SIGN_IN_ADDRESS, "y"))
            except TooManyAttempts:
                return False
            finally:
                connections.close_all()
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(one, range(16))) == 5

    def test_another_process_sees_a_used_code_and_the_count(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The cache is one process's own; this must not be."""
        user = make_user(Site.objects.create(name="North Hospital"), "admin", username="adam")
        monkeypatch.setattr(second_factors, "now_s", lambda: 1_800_000_000)
        code = format_hotp_value(hotp_value(APP_SECRET, 60_000_000))
        assert second_factors.check_code(user=user, code=code) == "totp"
        script = f"""
import django
django.setup()
from screening.accounts.models import User
from screening.accounts.services import limits, second_factors
second_factors.now_s = lambda: 1_800_000_000
print(second_factors.check_code(user=User.objects.get(username="adam"), code="{code}"))
for _ in range(5):
    limits.count_attempt((limits.CONFIRM, "adam"))
"""
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "portal.settings.test",
            "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        }
        told = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert told.stdout.strip() == "None"
        with pytest.raises(TooManyAttempts):
            count_attempt((limits.CONFIRM, "adam"))
