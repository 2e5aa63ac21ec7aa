"""API tokens: getting, using, losing them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from screening.accounts.keys import digest
from screening.accounts.models import ApiToken, Membership, User
from screening.accounts.services.tokens import issue_token
from screening.accounts.tasks import clear_expired
from screening.audit.models import Event
from tests.personas import PASSWORD, ClientOf

TOKEN = "/api/v1/auth/token/"
REVOKE = "/api/v1/auth/token/revoke/"
PATIENTS = "/api/v1/patients/"


def ask_for_token(username: Any = "alice", password: Any = PASSWORD) -> Any:
    body = {"username": username, "password": password}
    return Client().post(TOKEN, body, content_type="application/json")


def with_token(token: str) -> Client:
    return Client(headers={"Authorization": f"Token {token}"})


def test_get_use_and_revoke(clinician_a: User) -> None:
    answer = ask_for_token()
    assert answer.status_code == 200
    assert list(answer.json()) == ["token"]
    api = with_token(answer.json()["token"])
    assert api.get(PATIENTS).status_code == 200
    assert api.post(REVOKE).status_code == 204
    refused = api.get(PATIENTS)
    assert refused.status_code == 401
    assert refused.json()["code"] == "not_authenticated"
    assert refused["WWW-Authenticate"] == "Token"
    events = Event.objects.filter(action__startswith="token.").order_by("id")
    assert [(e.action, e.actor_id) for e in events] == [
        ("token.issue", clinician_a.pk),
        ("token.revoke", clinician_a.pk),
    ]


def test_a_form_is_as_good_as_json(clinician_a: User) -> None:
    assert Client().post(TOKEN, {"username": "alice", "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize(
    ("username", "password"),
    [("alice", "wrong"), ("nobody", PASSWORD), ("dora", PASSWORD)],
)
def test_every_refusal_reads_the_same(
    clinician_a: User, deactivated: User, username: str, password: str
) -> None:
    answer = ask_for_token(username, password)
    assert answer.status_code == 401
    assert answer.json() == {
        "code": "invalid_credentials",
        "message": "User name or password is wrong, or the account is not active.",
    }
    assert Event.objects.filter(action="session.refuse", outcome="failed").count() == 1
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("username", "password"),
    [("", ""), (None, "x"), ("a\x00b", "x"), ("a\ud800", "x"), ({"a": 1}, "x"), ("x" * 151, "x")],
)
def test_nonsense_is_refused_before_it_is_looked_up(db: None, username: Any, password: Any) -> None:
    answer = ask_for_token(username, password)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"


def test_it_is_never_stored_in_clear(clinician_a: User) -> None:
    token = ask_for_token().json()["token"]
    assert token.startswith("thora_")  # what scanners of leaked secrets look for
    assert len(token.removeprefix("thora_")) >= 43  # 256 bits
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608  (our own tables)
            assert token not in str(cursor.fetchall())


@pytest.mark.parametrize(
    "header", ["Token", "Token x", "Token a b", "Token \xff\xfe", "Bearer x", "Token " + "x" * 9000]
)
def test_a_header_that_says_nothing_lets_nobody_in(db: None, header: str) -> None:
    answer = Client().get(PATIENTS, headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"


def test_a_deactivated_persons_token_is_refused_at_once(clinician_a: User) -> None:
    api = with_token(issue_token(user=clinician_a))
    assert api.get(PATIENTS).status_code == 200
    Membership.objects.update(is_active=False)
    assert api.get(PATIENTS).status_code == 401


def test_it_expires(clinician_a: User) -> None:
    api = with_token(issue_token(user=clinician_a))
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert api.get(PATIENTS).status_code == 401


def test_using_it_writes_at_most_once_a_minute(clinician_a: User) -> None:
    api = with_token(issue_token(user=clinician_a))
    api.get(PATIENTS)
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    with CaptureQueriesContext(connection) as captured:
        api.get(PATIENTS)
    assert not [q for q in captured if q["sql"].startswith("UPDATE")]
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    api.get(PATIENTS)
    later = ApiToken.objects.get().last_used_at
    assert later is not None
    assert later >= first


def test_a_token_opens_no_pages(clinician_a: User) -> None:
    assert with_token(issue_token(user=clinician_a)).get("/patients/").status_code == 302


def test_revoking_without_a_token_says_so(client_of: ClientOf, clinician_a: User) -> None:
    answer = client_of(clinician_a).post(REVOKE)
    assert answer.status_code == 422
    assert answer.json()["code"] == "no_token"


def test_the_nightly_work_removes_what_nobody_can_use(
    client_of: ClientOf, clinician_a: User
) -> None:
    from screening.accounts.models import Session

    issue_token(user=clinician_a)
    ApiToken.objects.update(expires_at=timezone.now())
    kept = issue_token(user=clinician_a)
    client_of(clinician_a)
    Session.objects.update(expire_date=timezone.now() - timedelta(days=1))
    living = client_of(clinician_a)
    clear_expired()
    assert ApiToken.objects.count() == 1
    assert with_token(kept).get(PATIENTS).status_code == 200
    assert Session.objects.count() == 1
    assert living.get("/patients/").status_code == 200


def test_the_schema_tells_how_to_send_it(client_of: ClientOf, clinician_a: User) -> None:
    schema = client_of(clinician_a).get(
        "/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}
    )
    assert schema.status_code == 200
    body = schema.json() if schema["Content-Type"].endswith("json") else schema.content.decode()
    assert "apiToken" in str(body)


class TestAskedForInParts:
    def test_name_scopes_and_lifetime(self, clinician_a: User, settings: Any) -> None:
        asked = {"name": "Register", "scopes": ["read"], "days": 7}
        body = {"username": "alice", "password": PASSWORD, **asked}
        answer = Client().post(TOKEN, body, content_type="application/json")
        assert answer.status_code == 200
        token = ApiToken.objects.get()
        assert (token.name, token.scopes) == ("Register", ["read"])
        assert token.expires_at is not None
        assert timedelta(days=6) < token.expires_at - timezone.now() < timedelta(days=8)
        settings.TOKEN_MAX_DAYS = 6
        refused = Client().post(TOKEN, body, content_type="application/json")
        assert (refused.status_code, list(refused.json()["fields"])) == (422, ["days"])

    @pytest.mark.parametrize("scopes", [[], ["everything"], "read", [1], [["read"]]])
    def test_scopes_that_are_none(self, clinician_a: User, scopes: Any) -> None:
        body = {"username": "alice", "password": PASSWORD, "scopes": scopes}
        answer = Client().post(TOKEN, body, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert not ApiToken.objects.exists()


def test_without_being_asked_for_less_it_lives_no_longer_than_the_setting_says(
    clinician_a: User, settings: Any
) -> None:
    settings.TOKEN_MAX_DAYS = 3
    issue_token(user=clinician_a)
    expires = ApiToken.objects.get().expires_at
    assert expires is not None
    assert expires - timezone.now() < timedelta(days=3, minutes=1)


def test_it_says_when_and_from_where_it_was_used(clinician_a: User) -> None:
    with_token(issue_token(user=clinician_a)).get(PATIENTS, REMOTE_ADDR="192.0.2.9")
    token = ApiToken.objects.get()
    assert token.last_used_at is not None
    assert token.last_used_from == "192.0.2.9"


def test_a_token_from_before_there_were_scopes_goes_on_working(clinician_a: User) -> None:
    ApiToken.objects.create(user=clinician_a, token_sha256=digest("old-secret"))
    assert with_token("old-secret").get(PATIENTS).status_code == 200


class TestThePage:
    def test_a_secret_is_shown_once_and_works(self, client_of: ClientOf, clinician_a: User) -> None:
        browser = client_of(clinician_a)
        data = {"name": "Register <b>", "scopes": ["read", "upload"], "days": "30"}
        shown = browser.post("/account/tokens/", data).content.decode()
        [secret] = re.findall(r"thora_[\w-]{43}", shown)
        assert with_token(secret).get(PATIENTS).status_code == 200
        page = browser.get("/account/tokens/").content.decode()
        assert secret not in page
        assert secret[-4:] in page
        assert "Register &lt;b&gt;" in page
        assert "127.0.0.1" in page
        token = ApiToken.objects.get()
        assert browser.post(f"/account/tokens/{token.pk}/revoke/").status_code == 302
        assert with_token(secret).get(PATIENTS).status_code == 401

    @pytest.mark.parametrize(
        "wrong",
        [{"scopes": []}, {"scopes": ["root"]}, {"days": "366"}, {"days": "x"}, {"name": ""}],
    )
    def test_what_makes_no_sense_is_refused(
        self, client_of: ClientOf, clinician_a: User, wrong: dict[str, Any]
    ) -> None:
        data = {"name": "Register", "scopes": ["read"], "days": "30", **wrong}
        answer = client_of(clinician_a).post("/account/tokens/", data)
        assert "correct what is marked" in answer.content.decode()
        assert not ApiToken.objects.exists()

    def test_an_old_session_is_asked_who_it_is_first(
        self, client_of: ClientOf, clinician_a: User, settings: Any
    ) -> None:
        browser = client_of(clinician_a)
        settings.RECENT_SIGN_IN_S = -1
        data = {"name": "Register", "scopes": ["read"], "days": "30"}
        assert "/account/confirm/" in browser.post("/account/tokens/", data)["Location"]
        answer = browser.post("/api/v1/auth/tokens/", data)
        assert (answer.status_code, answer.json()["code"]) == (401, "reauthentication_required")
        assert not ApiToken.objects.exists()

    def test_an_admin_sees_and_revokes_those_of_the_own_site(
        self, client_of: ClientOf, clinician_a: User, clinician_b: User, admin_a: User
    ) -> None:
        here, there = issue_token(user=clinician_a), issue_token(user=clinician_b)
        page = client_of(admin_a).get("/site/tokens/").content.decode()
        assert "Alice Archer" in page
        assert "Bob Barley" not in page
        token = ApiToken.objects.get(user=clinician_a)
        client_of(admin_a).post(f"/site/tokens/{token.pk}/revoke/")
        assert with_token(here).get(PATIENTS).status_code == 401
        assert with_token(there).get(PATIENTS).status_code == 200
        [event] = Event.objects.filter(action="token.revoke")
        assert (event.actor_id, event.object_id) == (admin_a.pk, str(token.pk))


def test_a_token_makes_no_tokens(clinician_a: User) -> None:
    body = {"name": "Another", "scopes": ["read"], "days": 1}
    answer = with_token(issue_token(user=clinician_a)).post(
        "/api/v1/auth/tokens/", body, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "token_scope")
    assert ApiToken.objects.count() == 1
