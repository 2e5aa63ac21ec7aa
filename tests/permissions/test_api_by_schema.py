"""Every operation of the API, asked by everybody with what its schema allows and what it does not.

Schemathesis makes the requests out of the OpenAPI schema; each one is sent as each person in turn.
No answer is a fault, each has a status and a form that the schema knows, and none that somebody of
another site gets names a patient or a person of the first.

``API_EXAMPLES=100 python -m pytest tests/permissions/test_api_by_schema.py`` asks longer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from screening.accounts.models import Site, User
from screening.accounts.services.tokens import issue_token
from tests.permissions.further import FURTHER
from tests.permissions.matrix import PERSONAS
from tests.permissions.objects import Objects
from tests.permissions.test_matrix import CANARIES, People
from tests.permissions.undoing import undone
from tests.personas import make_patient

pytestmark = pytest.mark.once

EXAMPLES = int(os.environ.get("API_EXAMPLES", "3"))
SOUTH = (b"Suarez-Canary", b"Sancho-Canary", b"S-2001-CANARY", b"bob@example.org")
NORTHERNERS = {"clinician_a", "admin_a"}
SOUTHERNERS = {"clinician_b", "admin_b"}
COMES = {person.name: person.come for person in FURTHER if person.come is not None}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def _schema() -> Any:
    made = SchemaGenerator().get_schema(request=None, public=True)
    return schemathesis.openapi.from_dict(made)


SCHEMA = _schema()
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]


@pytest.fixture(scope="module")
def patient_b(south: Site) -> None:
    make_patient(
        south, mrn="S-2001-CANARY", family_name="Suarez-Canary", given_name="Sancho-Canary"
    )


@pytest.fixture(scope="module")
def world(
    accounts_of_north: Objects,
    reports_of_north: Objects,
    emergency_of_north: Objects,
    patient_b: None,
) -> dict[str, list[str]]:
    """What a name in an address may stand for."""
    found = {**accounts_of_north, **reports_of_north}
    return {
        "study_id": [found["study_id"], found["signed_study_id"], found["unreported_study_id"]],
        "image_id": [found["image_id"], found["failed_image_id"]],
        **{name: [value] for name, value in found.items() if name not in ("study_id", "image_id")},
    }


def test_the_schema_names_every_operation() -> None:
    assert len(OPERATIONS) >= 25


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_nobody_gets_a_fault_or_what_is_another_site_s(
    operation: Any, people: People, world: dict[str, list[str]]
) -> None:
    asked, complaints = 0, []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_cases(operation, world))
    def ask(case: Case) -> None:
        nonlocal asked
        for name in (*PERSONAS, *(person.name for person in FURTHER)):
            asked += 1
            complaints.extend(_complaints(case, name, people))

    ask()
    assert asked
    assert not complaints, "\n\n".join(complaints[:5])


def _cases(operation: Any, world: dict[str, list[str]]) -> st.SearchStrategy[Case]:
    """Requests that fit the schema and requests that do not, mostly about things that exist."""
    names = [parameter.name for parameter in operation.path_parameters]
    known = st.fixed_dictionaries({name: st.sampled_from(world[name]) for name in names})
    kinds = [
        operation.as_strategy(generation_mode=mode)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        if mode is GenerationMode.POSITIVE or operation.body or operation.query
    ]

    def settle(case: Case, real: dict[str, str], take: bool) -> Case:
        if take and names:
            case.path_parameters = dict(real)
        if isinstance(case.body, dict) and "patient" in case.body and take:
            case.body["patient"] = world["patient_id"][0]
        return case

    taken = st.sampled_from([True, True, True, False])
    return st.builds(settle, st.one_of(kinds), known, taken)


def _complaints(case: Case, name: str, people: People) -> list[str]:
    said = []
    with undone():
        response = _send(case, name, people[name])
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as group:
        said += [f"{case.operation.label} as {name}: {one}" for one in group.exceptions]
    except Failure as error:
        said.append(f"{case.operation.label} as {name}: {error}")
    forbidden = (() if _sees_north(name) else CANARIES) + (() if _sees_south(name) else SOUTH)
    for canary in forbidden:
        if canary in response.content:
            said.append(f"{case.operation.label} as {name}: tells {canary!r}")
    return said


def _sees_north(name: str) -> bool:
    return name in NORTHERNERS or any(p.name == name and p.sees_north for p in FURTHER)


def _sees_south(name: str) -> bool:
    return name in SOUTHERNERS or name == "both_sites"


def _with_any_token(user: User) -> Client:
    return Client(headers={"Authorization": f"Token {issue_token(user=user)}"})


def _send(case: Case, name: str, user: User | None) -> Response:
    """The case as ``user``'s program sends it, to the portal in this process."""
    given = case.as_transport_kwargs(base_url="http://testserver")
    given.pop("verify", None)
    given.pop("timeout", None)
    prepared = requests.Request(**given).prepare()
    address = urlsplit(str(prepared.url))
    body = prepared.body if prepared.body is not None else b""
    client = Client() if user is None else COMES.get(name, _with_any_token)(user)
    client.raise_request_exception = False
    got = client.generic(
        str(prepared.method),
        address.path,
        body.encode() if isinstance(body, str) else body,
        content_type=prepared.headers.get("Content-Type", "application/octet-stream"),
        query_string=address.query,
        headers={
            key: value for key, value in prepared.headers.items() if not key.startswith("Content-")
        },
    )
    content = b"".join(got) if got.streaming else got.content
    return Response(
        status_code=got.status_code,
        headers={key: [value] for key, value in got.headers.items()},
        content=content,
        request=prepared,
        elapsed=0.0,
        verify=False,
    )


def test_a_leak_and_a_fault_would_be_seen(
    people: People, world: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison must be able to fail."""
    operation = next(one for one in OPERATIONS if one.label == "GET /api/v1/patients/{patient_id}/")
    case = operation.Case(path_parameters={"patient_id": world["patient_id"][0]})
    assert not _complaints(case, "clinician_a", people)
    assert _complaints(case, "clinician_b", {**people, "clinician_b": people["clinician_a"]})

    def broken(*args: Any, **kwargs: Any) -> Callable[..., Any]:
        raise ZeroDivisionError

    monkeypatch.setattr("screening.patients.api.PatientDetail.get", broken)
    assert any("erver error" in one for one in _complaints(case, "clinician_a", people))
