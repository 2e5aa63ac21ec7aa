"""Every API address × every scope: a token does what it was made for, and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver

from portal.selftest import routes
from screening.accounts.models import Scope, User
from screening.accounts.policies import Permission, memberships_with
from screening.accounts.scopes import SCOPE_PERMISSIONS, reach
from screening.accounts.services.tokens import make_token
from screening.audit.models import Event
from screening.core.errors import Forbidden
from screening.studies.diagnoses import record_diagnosis
from screening.studies.models import Study
from tests.permissions.matrix import ROWS
from tests.permissions.test_matrix import _send
from tests.permissions.undoing import undone
from tests.personas import make_user

pytestmark = pytest.mark.usefixtures("undone")

EVERY = "every scope"
PUBLIC = "no token needed"
# What each address is for, spelt out a second time beside the views.
NEEDED: dict[tuple[str, str], str] = {
    ("schema/", "GET"): EVERY,
    ("docs/", "GET"): EVERY,
    ("auth/token/", "POST"): PUBLIC,
    ("auth/token/revoke/", "POST"): EVERY,
    ("auth/tokens/", "GET"): "admin",
    ("auth/tokens/<uuid:token_id>/", "DELETE"): "admin",
    ("site/tokens/", "GET"): "admin",
    ("site/tokens/<uuid:token_id>/", "DELETE"): "admin",
    ("patients/", "GET"): "read",
    ("patients/", "POST"): "upload",
    ("patients/<uuid:patient_id>/", "GET"): "read",
    ("patients/<uuid:patient_id>/", "PATCH"): "upload",
    ("studies/", "GET"): "read",
    ("studies/", "POST"): "upload",
    ("studies/<uuid:study_id>/", "GET"): "read",
    ("uploads/<uuid:study_id>/", "GET"): "upload",
    ("studies/<uuid:study_id>/diagnoses/", "GET"): "read",
    ("studies/<uuid:study_id>/diagnoses/", "POST"): "clinical",
    ("studies/<uuid:study_id>/readings/", "GET"): "read",
    ("studies/<uuid:study_id>/readings/draft/", "POST"): "clinical",
    ("studies/<uuid:study_id>/readings/first-impression/", "POST"): "clinical",
    ("studies/<uuid:study_id>/readings/sign/", "POST"): "clinical",
    ("studies/<uuid:study_id>/reports/", "GET"): "read",
    ("studies/<uuid:study_id>/reports/", "POST"): "clinical",
    ("studies/<uuid:study_id>/reports/preliminary/", "GET"): "read",
    ("readings/<uuid:reading_id>/addenda/", "POST"): "clinical",
    ("reports/<uuid:report_id>/pdf/", "GET"): "read",
    ("images/<uuid:image_id>/display/", "GET"): "read",
    ("images/<uuid:image_id>/thumbnail/", "GET"): "read",
    ("images/<uuid:image_id>/original/", "GET"): "read",
    ("images/<uuid:image_id>/heatmap/", "GET"): "read",
    ("models/", "GET"): "read",
    ("worklist/", "GET"): "read",
    ("worklist/<uuid:study_id>/claim/", "POST"): "clinical",
    ("worklist/<uuid:study_id>/claim/", "DELETE"): "clinical",
}
# No scope is enough: a token makes no tokens.
NEVER = {("auth/tokens/", "POST")}

API_ROWS = [row for row in ROWS if row.route.startswith("api/v1/")]


def _key(row: Any) -> tuple[str, str]:
    return row.route.removeprefix("api/v1/"), row.method


def test_every_api_address_says_here_what_scope_it_needs() -> None:
    """The matrix has a row for each address; here is one for each of those rows."""
    assert {_key(row) for row in API_ROWS} == set(NEEDED) | NEVER
    addresses = {r.pattern for r in routes.routes(get_resolver().url_patterns) if r.is_api}
    assert {row.route for row in API_ROWS} == addresses


def test_a_token_does_what_its_scope_says_and_nothing_else(
    accounts_of_north: dict[str, str], reports_of_north: dict[str, str], admin_a: User
) -> None:
    objects = {**accounts_of_north, **reports_of_north}
    wrong = []
    for row in API_ROWS:
        if NEEDED.get(_key(row)) == PUBLIC:
            continue
        named = objects
        if row.route.startswith("api/v1/auth/tokens/<"):
            with_own = make_token(user=admin_a, name="own", scopes=["read"], days=1).token
            named = {**objects, "token_id": str(with_own.pk)}
        for scope in Scope.values:
            with undone():
                secret = make_token(user=admin_a, name="one", scopes=[scope], days=1).secret
                client = Client(headers={"Authorization": f"Token {secret}"})
                response = _send(client, row, named)
            needed = NEEDED.get(_key(row))
            if _key(row) not in NEVER and needed in (EVERY, scope):
                # Past the gate; what lies behind it is the matrix's.
                closed = {401, 403, 404} - {row.expected["admin_a"]}
                if response.status_code in closed or response.status_code >= 500:
                    wrong.append((str(row), scope, response.status_code))
            elif (response.status_code, response.json()["code"]) != (403, "token_scope"):
                wrong.append((str(row), scope, response.status_code))
    assert not wrong


@pytest.mark.once
def test_no_scope_widens_a_role(north: Any, clinician_a: User, admin_a: User) -> None:
    for user in (clinician_a, admin_a, make_user(north, is_active=False)):
        held = {one for one in Permission if memberships_with(user, one).exists()}
        for scope in Scope.values:
            user.token_reach = reach([scope])
            through = {one for one in Permission if memberships_with(user, one).exists()}
            assert through <= held
            assert through & SCOPE_PERMISSIONS[scope] == held & SCOPE_PERMISSIONS[scope]


@pytest.mark.once
def test_every_permission_belongs_to_exactly_one_scope() -> None:
    for permission in Permission:
        assert sum(permission in lets for lets in SCOPE_PERMISSIONS.values()) == 1


def test_what_a_service_asks_on_the_way_is_asked_of_the_scope_too(
    clinician_a: User, studies_of_north: dict[str, str]
) -> None:
    """The policy refuses where an address let something through that it should not."""
    clinician_a.token_reach = reach([Scope.UPLOAD])
    study = Study.objects.visible_to(clinician_a).get(pk=studies_of_north["study_id"])
    with pytest.raises(Forbidden):
        record_diagnosis(
            actor=clinician_a,
            study=study,
            label="covid",
            basis="rt_pcr",
            date=dt.date(2026, 1, 1),
            note="",
        )


def test_the_wrong_scope_leaves_one_denial_that_names_the_token(
    clinician_a: User, patient_a: Any
) -> None:
    made = make_token(user=clinician_a, name="one", scopes=["upload"], days=1)
    client = Client(headers={"Authorization": f"Token {made.secret}"})
    assert client.get(f"/api/v1/patients/{patient_a.pk}/").status_code == 403
    [event] = Event.objects.filter(action="access.deny")
    assert event.actor_id == clinician_a.pk
    assert event.token_id == made.token.pk
    assert not Event.objects.filter(action="patient.view").exists()
