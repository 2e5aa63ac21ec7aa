"""What a browser may send in place of a security key's answer opens nothing and breaks nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from screening.accounts.models import User
from tests.personas import PASSWORD, ClientOf

pytestmark = pytest.mark.once

ADD = "/account/second-factor/key/"
QUESTION = "/login/second-factor/"

# The public half of a made-up key for "localhost", as a browser would have registered it.
CREDENTIAL: dict[str, Any] = {
    "id": "AAECAwQFBgcICQoLDA0ODw",
    "rawId": "AAECAwQFBgcICQoLDA0ODw",
    "type": "public-key",
    "clientExtensionResults": {},
    "response": {
        "clientDataJSON": (
            "eyJ0eXBlIjogIndlYmF1dGhuLmNyZWF0ZSIsICJjaGFsbGVuZ2UiOiAiQUFBQSIsICJvcmln"
            "aW4iOiAiaHR0cDovL2xvY2FsaG9zdCJ9"
        ),
        "attestationObject": (
            "o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YViUSZYN5YgOjGh0NBcPZHZgW4_krrmihjLH"
            "mVzzuoMdl2NFAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAABAgMEBQYHCAkKCwwNDg-lAQIDJiAB"
            "IVggqlmUtRpKDnC9dH7VgDdL2GwNMOxSdv1p04Q2UsCsv9AiWCADvfrtqtlyFKpVCZiAsPJB"
            "qejOLt4qHXqEmqINMs38tA"
        ),
    },
}

_TEXT = st.text(alphabet="abcXYZ019-_=+/é\x00", max_size=40)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_ANSWER = st.fixed_dictionaries(
    {},
    optional={
        "id": _JSON,
        "rawId": _JSON,
        "type": st.just("public-key") | _JSON,
        "clientExtensionResults": st.just({}) | _JSON,
        "response": st.fixed_dictionaries(
            {},
            optional={
                name: _JSON
                for name in (
                    "clientDataJSON",
                    "attestationObject",
                    "authenticatorData",
                    "signature",
                    "userHandle",
                )
            },
        )
        | _JSON,
    },
)
QUICK = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def with_key(clinician_a: User) -> User:
    """Somebody with a key whose credential nobody can use."""
    Authenticator.objects.create(
        user=clinician_a, type="webauthn", data={"name": "Key", "credential": CREDENTIAL}
    )
    return clinician_a


def test_no_answer_adds_a_key(client_of: ClientOf, clinician_a: User) -> None:
    client = client_of(clinician_a)

    client.get(ADD)  # Each page brings the next challenge.

    @QUICK
    @given(_ANSWER | _JSON)
    def send(answer: Any) -> None:
        page = client.post(ADD, {"credential": json.dumps(answer)})
        assert page.status_code == 200
        assert b"Recovery codes" not in page.content

    send()
    for text in ("", "{", "null", "[]", "1" * 30_000):
        assert client.post(ADD, {"credential": text}).status_code == 200
    assert not Authenticator.objects.filter(user=clinician_a).exists()


def test_an_answer_without_a_challenge_adds_nothing(client_of: ClientOf, clinician_a: User) -> None:
    page = client_of(clinician_a).post(ADD, {"credential": json.dumps(CREDENTIAL)})
    assert b"was not recognised" in page.content
    assert not Authenticator.objects.exists()


def test_no_answer_signs_anybody_in(client: Client, with_key: User) -> None:
    client.post("/login/", {"username": "alice", "password": PASSWORD})

    @QUICK
    @given(_ANSWER | _JSON)
    def send(answer: Any) -> None:
        page = client.post(QUESTION, {"credential": json.dumps(answer)})
        assert page.status_code == 200

    send()
    assert client.get("/patients/").status_code == 302


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "[::1]:8000"])
def test_a_bare_address_offers_no_keys(
    client_of: ClientOf, clinician_a: User, settings: Any, host: str
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    page = client_of(clinician_a).get(ADD, headers={"Host": host})
    assert b"not by a bare address" in page.content
