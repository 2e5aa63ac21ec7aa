"""Second factors: setting them up, signing in with them, losing them, and who must have one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from screening.accounts.models import ApiToken, Membership, Role, Site, User
from screening.accounts.reauthentication import PROVED_AT
from screening.accounts.sealing import unseal
from screening.accounts.second_factors import recovery_codes_left
from screening.accounts.services import second_factors
from screening.accounts.services.second_factors import check_code
from screening.audit.models import Event
from tests.personas import APP_SECRET, PASSWORD, ClientOf, give_app, make_user, membership_of

LIST = "/account/second-factor/"
APP = "/account/second-factor/app/"
CODES = "/account/second-factor/codes/"
QUESTION = "/login/second-factor/"
OUR_TABLES = ("accounts_membership", "accounts_site", "mfa_")


class Clock:
    """Stands still unless it is moved, so that no test depends on the half minute it runs in."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def code(self, secret: str = APP_SECRET, steps: int = 0) -> str:
        """What an app shows ``steps`` half minutes from now."""
        return format_hotp_value(hotp_value(secret, int(self.now) // 30 + steps))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(second_factors, "now_s", lambda: clock.now)
    return clock


def events(action: str) -> list[Event]:
    return list(Event.objects.filter(action=action))


def enter_password(client: Client, username: str, **data: str) -> Any:
    return client.post("/login/", {"username": username, "password": PASSWORD, **data})


def shown_secret(page: Any) -> str:
    found = re.search(r"data-secret>([A-Z2-7 ]+)<", page.content.decode())
    assert found is not None
    return found[1].replace(" ", "")


def shown_codes(page: Any) -> list[str]:
    return [
        code.replace(" ", "") for code in re.findall(r"<code>(\d{4} \d{4})<", page.content.decode())
    ]


class TestSettingUp:
    def test_a_new_admin_can_do_nothing_before_it_and_everything_after(
        self, client: Client, north: Site, clock: Clock
    ) -> None:
        admin = make_user(north, Role.ADMIN, username="nora")
        Authenticator.objects.filter(user=admin).delete()
        enter_password(client, "nora")
        assert client.get("/patients/")["Location"] == f"{LIST}?next=%2Fpatients%2F"
        assert client.post("/users/invite/", {"email": "x@example.org"})["Location"] == LIST
        answer = client.get("/api/v1/patients/")
        assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")
        answer = client.get("/worklist/rows/", headers={"HX-Request": "true"})
        assert (answer.status_code, answer["HX-Redirect"]) == (403, LIST)

        assert "Your site asks your role" in client.get(LIST).content.decode()
        page = client.get(f"{APP}?next=/patients/")
        assert "<svg" in page.content.decode()
        done = client.post(APP, {"code": clock.code(shown_secret(page)), "next": "/patients/"})
        assert len(shown_codes(done)) == 10
        assert 'href="/patients/"' in done.content.decode()
        assert client.get("/patients/").status_code == 200
        [event] = events("second_factor.add")
        assert (event.actor_id, event.detail) == (admin.pk, {"kind": "totp"})

    def test_a_token_made_before_goes_on_working(
        self, client: Client, north: Site, clinician_a: User
    ) -> None:
        from screening.accounts.services.tokens import issue_token

        secret = issue_token(user=clinician_a)
        Site.objects.filter(pk=north.pk).update(second_factor_roles=["admin", "clinician"])
        answer = client.get("/api/v1/patients/", headers={"Authorization": f"Token {secret}"})
        assert answer.status_code == 200

    def test_a_wrong_code_adds_nothing_and_the_secret_stays_for_another_try(
        self, client_of: ClientOf, clinician_a: User, clock: Clock
    ) -> None:
        client = client_of(clinician_a)
        secret = shown_secret(client.get(APP))
        wrong = client.post(APP, {"code": clock.code(secret, steps=7)})
        assert "This code does not fit" in wrong.content.decode()
        assert shown_secret(wrong) == secret
        assert not Authenticator.objects.filter(user=clinician_a).exists()
        assert shown_codes(client.post(APP, {"code": clock.code(secret)}))

    def test_neither_database_nor_session_holds_the_secret_in_clear_text(
        self, client_of: ClientOf, clinician_a: User, clock: Clock
    ) -> None:
        client = client_of(clinician_a)
        secret = shown_secret(client.get(APP))
        assert secret not in str(dict(client.session.items()))
        codes = shown_codes(client.post(APP, {"code": clock.code(secret)}))
        kept = str(list(Authenticator.objects.values_list("data", flat=True)))
        assert not any(text in kept for text in (secret, *codes))
        app = Authenticator.objects.get(type="totp")
        assert unseal(app.data["secret"]) == secret

    def test_the_codes_are_shown_once(
        self, client_of: ClientOf, clinician_a: User, clock: Clock
    ) -> None:
        client = client_of(clinician_a)
        page = client.get(APP)
        codes = shown_codes(client.post(APP, {"code": clock.code(shown_secret(page))}))
        later = client.get(LIST).content.decode()
        assert "10 codes are left" in later
        assert not any(code in later.replace(" ", "") for code in codes)

    def test_new_codes_replace_the_old_ones(
        self, client_of: ClientOf, admin_a: User, clock: Clock
    ) -> None:
        client = client_of(admin_a)
        first, second = shown_codes(client.post(CODES)), shown_codes(client.post(CODES))
        assert not set(first) & set(second)
        assert check_code(user=admin_a, code=first[0]) is None
        assert check_code(user=admin_a, code=second[0]) == "recovery_codes"

    def test_the_last_one_of_somebody_who_needs_one_stays(
        self, client_of: ClientOf, admin_a: User, north: Site
    ) -> None:
        client = client_of(admin_a)
        app = Authenticator.objects.get(user=admin_a)
        refused = client.post(f"{LIST}{app.pk}/remove/")
        assert refused.status_code == 409
        assert 'data-code="second_factor_required"' in refused.content.decode()
        Site.objects.filter(pk=north.pk).update(second_factor_roles=[])
        client.post(CODES)
        assert client.post(f"{LIST}{app.pk}/remove/").status_code == 302
        # Recovery codes alone are no factor, and what the session proved holds no longer.
        assert not Authenticator.objects.filter(user=admin_a).exists()
        Site.objects.filter(pk=north.pk).update(second_factor_roles=["admin"])
        assert client.get("/patients/")["Location"].startswith(LIST)
        assert len(events("second_factor.remove")) == 1

    def test_adding_and_removing_need_a_fresh_proof(
        self, client_of: ClientOf, admin_a: User
    ) -> None:
        client = client_of(admin_a)
        session = client.session
        session[PROVED_AT] = 0
        session.save()
        app = Authenticator.objects.get(user=admin_a)
        for method, path in (
            ("get", APP),
            ("get", f"{LIST}key/"),
            ("post", CODES),
            ("post", f"{LIST}{app.pk}/remove/"),
            ("post", f"{LIST}{app.pk}/name/"),
        ):
            answer = getattr(client, method)(path)
            assert answer["Location"].startswith("/account/confirm/"), path
        assert Authenticator.objects.filter(user=admin_a).count() == 1


class TestSigningIn:
    def test_the_password_alone_opens_nothing(self, client: Client, admin_a: User) -> None:
        assert enter_password(client, "adam")["Location"] == QUESTION
        assert client.get("/patients/")["Location"].startswith("/login/")
        assert not events("session.start")

    def test_with_the_code_one_comes_in_where_one_wanted_to_go(
        self, client: Client, admin_a: User, clock: Clock
    ) -> None:
        enter_password(client, "adam", next="/users/")
        assert client.post(QUESTION, {"code": clock.code()})["Location"] == "/users/"
        assert client.get("/users/").status_code == 200
        [event] = events("session.start")
        assert (event.actor_id, event.detail) == (admin_a.pk, {"second_factor": "totp"})

    def test_the_clock_of_the_telephone_may_be_half_a_minute_off(
        self, client: Client, admin_a: User, clock: Clock
    ) -> None:
        for steps, opens in ((-2, False), (2, False), (-1, True)):
            enter_password(client, "adam")
            answer = client.post(QUESTION, {"code": clock.code(steps=steps)})
            assert (answer.status_code == 302) is opens

    def test_a_wrong_code_leaves_one_event_and_a_way_to_try_again(
        self, client: Client, admin_a: User, clock: Clock
    ) -> None:
        enter_password(client, "adam")
        answer = client.post(QUESTION, {"code": clock.code(steps=9)})
        assert "This code is wrong" in answer.content.decode()
        [event] = events("session.refuse")
        assert (event.object_id, event.detail) == (str(admin_a.pk), {"reason": "second_factor"})
        assert client.post(QUESTION, {"code": clock.code()}).status_code == 302

    def test_a_code_works_once_and_earlier_ones_die_with_it(
        self, admin_a: User, clock: Clock
    ) -> None:
        assert check_code(user=admin_a, code=clock.code()) == "totp"
        assert check_code(user=admin_a, code=clock.code()) is None
        assert check_code(user=admin_a, code=clock.code(steps=-1)) is None
        clock.now += 30
        assert check_code(user=admin_a, code=clock.code()) == "totp"

    def test_a_recovery_code_works_once(self, client: Client, admin_a: User) -> None:
        code, *_ = second_factors.renew_recovery_codes(user=admin_a)
        enter_password(client, "adam")
        assert client.post(QUESTION, {"code": f"{code[:4]} {code[4:]}"}).status_code == 302
        assert check_code(user=admin_a, code=code) is None
        [event] = events("session.start")
        assert event.detail == {"second_factor": "recovery_codes"}

    def test_the_question_alone_leads_to_the_password(self, client: Client, db: None) -> None:
        assert client.get(QUESTION)["Location"] == "/login/"
        assert client.post(QUESTION, {"code": "123456"})["Location"] == "/login/"

    def test_a_secret_whose_key_is_gone_is_a_wrong_code_and_no_fault(
        self, client: Client, admin_a: User, clock: Clock, settings: Any
    ) -> None:
        code, *_ = second_factors.renew_recovery_codes(user=admin_a)
        settings.SECRET_KEY = "another-key-" + "y" * 50
        enter_password(client, "adam")
        for answer in (clock.code(), code):
            assert client.post(QUESTION, {"code": answer}).status_code == 200
        assert recovery_codes_left(admin_a) == 0

    def test_an_earlier_secret_key_still_unseals_and_the_newest_seals_anew(
        self, admin_a: User, clock: Clock, settings: Any
    ) -> None:
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another-key-" + "y" * 50
        assert check_code(user=admin_a, code=clock.code()) == "totp"
        settings.SECRET_KEY_FALLBACKS = []
        assert unseal(Authenticator.objects.get(user=admin_a).data["secret"]) == APP_SECRET

    def test_somebody_who_chose_a_factor_freely_is_asked_too(
        self, client: Client, clinician_a: User
    ) -> None:
        give_app(clinician_a)
        assert enter_password(client, "alice")["Location"] == QUESTION

    def test_a_session_from_before_the_rule_is_asked_for_the_factor_it_has(
        self, client: Client, clinician_a: User, north: Site, clock: Clock
    ) -> None:
        enter_password(client, "alice")
        give_app(clinician_a)
        Site.objects.filter(pk=north.pk).update(second_factor_roles=["clinician"])
        led = client.get("/patients/", follow=True)
        assert led.redirect_chain[-1][0] == "/account/confirm/?next=%2Fpatients%2F"
        assert 'name="password"' not in led.content.decode()
        confirm = {"next": "/patients/"}
        client.post("/account/confirm/", {"password": PASSWORD, **confirm})
        assert client.get("/patients/").status_code == 302
        client.post("/account/confirm/", {"code": clock.code(), **confirm})
        assert client.get("/patients/").status_code == 200


class TestTokens:
    def ask(self, client: Client, username: str, password: str = PASSWORD) -> Any:
        return client.post(
            "/api/v1/auth/token/",
            {"username": username, "password": password},
            content_type="application/json",
        )

    def test_a_password_makes_no_token_for_somebody_with_a_second_factor(
        self, client: Client, admin_a: User
    ) -> None:
        answer = self.ask(client, "adam")
        assert (answer.status_code, answer.json()["code"]) == (403, "mfa_required")
        assert not ApiToken.objects.exists()
        [event] = events("session.refuse")
        assert event.detail == {"reason": "mfa_required"}

    def test_nor_for_somebody_who_must_have_one_and_has_none(
        self, client: Client, clinician_a: User, north: Site
    ) -> None:
        Site.objects.filter(pk=north.pk).update(second_factor_roles=["clinician"])
        assert self.ask(client, "alice").json()["code"] == "mfa_required"

    def test_a_wrong_password_tells_nothing_about_it(self, client: Client, admin_a: User) -> None:
        assert self.ask(client, "adam", "wrong").json()["code"] == "invalid_credentials"


class TestAdmins:
    def test_an_admin_decides_who_needs_one(
        self, client_of: ClientOf, admin_a: User, clinician_a: User, north: Site
    ) -> None:
        admin, clinician = client_of(admin_a), Client()
        enter_password(clinician, "alice")
        assert clinician.get("/patients/").status_code == 200
        admin.post("/site/settings/second-factor/", {"roles": ["admin", "clinician"]})
        assert clinician.get("/patients/")["Location"].startswith(LIST)
        page = admin.get("/site/settings/").content.decode()
        assert page.count("checked") == 2
        [event] = events("site.set_second_factor_roles")
        assert event.detail == {"from": ["admin"], "to": ["admin", "clinician"]}
        assert admin.post("/site/settings/second-factor/", {"roles": ["king"]}).status_code == 422

    def test_an_admin_gives_a_colleague_a_fresh_start(
        self,
        client_of: ClientOf,
        admin_a: User,
        clinician_a: User,
        settings: Any,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        settings.EMAIL_HOST = "mail.example.org"
        give_app(clinician_a)
        admin = client_of(admin_a)
        address = f"/users/{membership_of(clinician_a).pk}/reset-second-factor/"
        assert address in admin.get("/users/").content.decode()
        with django_capture_on_commit_callbacks(execute=True):
            assert admin.post(address)["Location"] == "/users/"
        assert not Authenticator.objects.filter(user=clinician_a).exists()
        [event] = events("second_factor.reset")
        assert (event.actor_id, event.object_id) == (admin_a.pk, str(membership_of(clinician_a).pk))
        [letter] = mail.outbox
        assert letter.to == ["alice@example.org"]
        assert address not in admin.get("/users/").content.decode()
        assert admin.post(address).status_code == 409

    def test_not_behind_the_back_of_another_site(
        self, client_of: ClientOf, admin_a: User, clinician_a: User, south: Site
    ) -> None:
        """Without mail nobody could tell the person, and South relies on the factor too."""
        give_app(clinician_a)
        Membership.objects.create(user=clinician_a, site=south, role=Role.ADMIN)
        membership = Membership.objects.get(user=clinician_a, site__name="North Hospital")
        refused = client_of(admin_a).post(f"/users/{membership.pk}/reset-second-factor/")
        assert refused.status_code == 409
        assert Authenticator.objects.filter(user=clinician_a).exists()

    @pytest.mark.parametrize("act", ["role", "deactivate", "reactivate", "reset-password"])
    def test_what_admins_do_to_people_needs_a_fresh_proof(
        self, client_of: ClientOf, admin_a: User, clinician_a: User, act: str
    ) -> None:
        client = client_of(admin_a)
        session = client.session
        session[PROVED_AT] = 0
        session.save()
        answer = client.post(f"/users/{membership_of(clinician_a).pk}/{act}/", {"role": "admin"})
        assert answer["Location"] == "/account/confirm/"
        assert membership_of(clinician_a).role == "clinician"


def test_a_signed_in_request_asks_once_who_somebody_is_and_never_for_the_factor(
    client_of: ClientOf, clinician_a: User, admin_a: User
) -> None:
    """The rule and the time zone come with the membership; the proof is in the session."""
    for user in (clinician_a, admin_a):
        client = client_of(user)
        client.get("/account/")  # Renews the session.
        with CaptureQueriesContext(connection) as asked:
            assert client.get("/logout/").status_code == 405
        about = [
            query["sql"]
            for query in asked
            if any(f'FROM "{table}' in query["sql"] for table in OUR_TABLES)
        ]
        assert len(about) == 1, about
