"""API tokens: getting, using, losing them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

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
    assert len(token) >= 43  # 256 bits
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
    from django.contrib.sessions.models import Session

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
