"""The record itself: who, where, what; and that nobody changes it afterwards."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from screening.accounts.models import ApiToken, Site, User
from screening.accounts.services.tokens import issue_token
from screening.audit.context import Origin, acting_as, current_origin
from screening.audit.models import Event
from screening.audit.services import record
from screening.patients.models import Patient
from tests.personas import ClientOf, membership_of


def test_an_event_knows_the_actor_the_site_the_request_and_the_address(
    client_of: ClientOf, clinician_a: User, patient_a: Patient
) -> None:
    client_of(clinician_a).get(
        f"/patients/{patient_a.pk}/edit/",
        headers={"X-Request-ID": "request-0001"},
        REMOTE_ADDR="192.0.2.7",
    )
    [event] = Event.objects.filter(action="patient.view")
    assert (event.actor_id, event.actor_name) == (clinician_a.pk, "alice")
    assert (event.object_type, event.object_id) == ("patient", str(patient_a.pk))
    assert event.site_id == patient_a.site_id
    assert (event.request_id, event.remote_addr) == ("request-0001", "192.0.2.7")
    assert event.outcome == "ok"


def test_a_token_names_its_owner(clinician_a: User, patient_a: Patient) -> None:
    api = Client(headers={"Authorization": f"Token {issue_token(user=clinician_a)}"})
    api.get(f"/api/v1/patients/{patient_a.pk}/")
    [event] = Event.objects.filter(action="patient.view")
    assert (event.actor_id, event.actor_name) == (clinician_a.pk, "alice")
    assert (event.token_id, event.owner_id) == (ApiToken.objects.get().pk, None)


def test_background_work_is_the_systems(north: Site) -> None:
    record("site.create", north)
    [event] = Event.objects.all()
    assert (event.actor_id, event.actor_name, event.remote_addr) == (None, "system", None)


def test_one_request_does_not_colour_the_next(client_of: ClientOf, clinician_a: User) -> None:
    client_of(clinician_a).get("/patients/")
    assert current_origin().actor_name == "system"
    with acting_as(Origin(actor_name="outer")):
        with acting_as(Origin(actor_name="inner")):
            assert current_origin().actor_name == "inner"
        assert current_origin().actor_name == "outer"


class TestDenials:
    def test_a_page_a_fragment_and_the_api_each_leave_one(
        self, client_of: ClientOf, clinician_a: User, north: Site
    ) -> None:
        client = client_of(clinician_a)
        client.get("/users/", {"q": "Nordlund"})
        client.get("/users/", headers={"HX-Request": "true"})
        forged = client_of(clinician_a, csrf=True)
        forged.post("/api/v1/patients/", {"mrn": "Nordlund"}, content_type="application/json")
        denials = Event.objects.filter(action="access.deny").order_by("id")
        assert [(e.outcome, e.actor_id, e.site_id) for e in denials] == [
            ("denied", clinician_a.pk, north.pk)
        ] * 3
        assert [e.detail for e in denials] == [
            {"method": "GET", "route": "accounts:user_list"},
            {"method": "GET", "route": "accounts:user_list"},
            {"method": "POST", "route": "api-patients"},
        ]

    def test_the_object_is_named_and_no_patient_data_is(
        self, client_of: ClientOf, clinician_a: User, admin_a: User
    ) -> None:
        membership = membership_of(admin_a)
        client_of(clinician_a).post(f"/users/{membership.pk}/deactivate/?name=Nordlund")
        [event] = Event.objects.filter(action="access.deny")
        assert event.object_id == str(membership.pk)
        assert "Nordlund" not in str(event.detail)

    def test_strangers_cannot_fill_the_table(self, client_of: ClientOf, db: None) -> None:
        client_of(None).get("/users/")
        client_of(None, csrf=True).post("/login/", {"username": "x", "password": "y"})
        assert not Event.objects.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET actor_name = 'somebody else'",
        "DELETE FROM audit_event",
    ],
)
def test_the_database_itself_refuses_to_change_or_remove_an_event(
    north: Site, statement: str
) -> None:
    record("site.create", north)
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Event.objects.update(action="other")
    assert Event.objects.get().action == "site.create"


def test_removing_a_user_takes_no_event_along(clinician_a: User, north: Site) -> None:
    record("site.create", north, actor=clinician_a)
    clinician_a.delete()
    assert Event.objects.get().actor_name == "alice"


def test_an_act_that_is_undone_leaves_no_event(north: Site) -> None:
    with transaction.atomic():
        record("site.create", north)
        transaction.set_rollback(True)
    assert not Event.objects.exists()
