"""What an admin does to the people of the own site, on the portal's pages."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from screening.accounts.models import ApiToken, Membership, Role, Site, User
from screening.accounts.services import members
from screening.accounts.services.tokens import issue_token
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden, PortalError
from tests.personas import PASSWORD, ClientOf, make_user, membership_of

LAST = "This is the last active administrator of the site."


def act(client: Client, user: User, what: str, **data: str) -> Any:
    return client.post(f"/users/{membership_of(user).pk}/{what}/", data, follow=True)


def user_events() -> list[tuple[str, dict[str, Any]]]:
    found = Event.objects.filter(action__startswith="user.").order_by("id")
    return [(e.action, e.detail) for e in found]


def test_the_list_shows_the_people_of_the_own_site_only(
    client_of: ClientOf, admin_a: User, clinician_a: User, clinician_b: User, deactivated: User
) -> None:
    page = client_of(admin_a).get("/users/").content.decode()
    for person in (admin_a, clinician_a, deactivated):
        assert f'data-user="{person.username}"' in page
    assert "Not active" in page
    assert "never" in page  # Alice has not signed in yet.
    assert "bob" not in page


def test_deactivate_and_reactivate(client_of: ClientOf, admin_a: User, clinician_a: User) -> None:
    admin, theirs = client_of(admin_a), client_of(clinician_a)
    issue_token(user=clinician_a)
    assert theirs.get("/patients/").status_code == 200
    page = act(admin, clinician_a, "deactivate").content.decode()
    assert "Alice Archer can no longer sign in here." in page
    assert theirs.get("/patients/")["Location"].startswith("/login/")
    assert not ApiToken.objects.exists()
    page = act(admin, clinician_a, "reactivate").content.decode()
    assert "Alice Archer can sign in again." in page
    assert theirs.post("/login/", {"username": "alice", "password": PASSWORD}).status_code == 302
    assert [action for action, _ in user_events()] == ["user.deactivate", "user.reactivate"]


def test_doing_it_twice_leaves_one_event(
    client_of: ClientOf, admin_a: User, clinician_a: User
) -> None:
    admin = client_of(admin_a)
    for _ in range(2):
        act(admin, clinician_a, "deactivate")
    for _ in range(2):
        act(admin, clinician_a, "reactivate")
    act(admin, clinician_a, "role", role="clinician")
    assert [action for action, _ in user_events()] == ["user.deactivate", "user.reactivate"]


def test_set_a_role(client_of: ClientOf, admin_a: User, clinician_a: User) -> None:
    page = act(client_of(admin_a), clinician_a, "role", role="admin").content.decode()
    assert "Alice Archer is now: Administrator." in page
    assert client_of(clinician_a).get("/users/").status_code == 200
    assert user_events() == [("user.set_role", {"from": "clinician", "to": "admin"})]
    [event] = Event.objects.filter(action="user.set_role")
    assert (event.actor_id, event.object_id) == (admin_a.pk, str(membership_of(clinician_a).pk))


@pytest.mark.parametrize("role", ["", "superuser", "Admin"])
def test_a_role_that_does_not_exist_is_refused(
    client_of: ClientOf, admin_a: User, clinician_a: User, role: str
) -> None:
    assert act(client_of(admin_a), clinician_a, "role", role=role).status_code == 422
    assert membership_of(clinician_a).role == "clinician"
    assert not user_events()


@pytest.mark.parametrize(("what", "data"), [("deactivate", {}), ("role", {"role": "clinician"})])
class TestTheLastAdmin:
    def test_cannot_go(
        self, client_of: ClientOf, admin_a: User, what: str, data: dict[str, str]
    ) -> None:
        response = act(client_of(admin_a), admin_a, what, **data)
        assert response.status_code == 409
        assert 'data-code="last_admin"' in response.content.decode()
        assert LAST in response.content.decode()
        membership = membership_of(admin_a)
        assert (membership.role, membership.is_active) == ("admin", True)
        assert not user_events()

    def test_is_not_saved_by_admins_who_cannot_act(
        self,
        client_of: ClientOf,
        admin_a: User,
        admin_b: User,
        north: Site,
        what: str,
        data: dict[str, str],
    ) -> None:
        make_user(north, Role.ADMIN, is_active=False)
        disabled = make_user(north, Role.ADMIN)
        User.objects.filter(pk=disabled.pk).update(is_active=False)
        assert act(client_of(admin_a), admin_a, what, **data).status_code == 409

    def test_may_go_once_there_is_another(
        self, client_of: ClientOf, admin_a: User, north: Site, what: str, data: dict[str, str]
    ) -> None:
        make_user(north, Role.ADMIN)
        act(client_of(admin_a), admin_a, what, **data)
        membership = membership_of(admin_a)
        assert (membership.role, membership.is_active) != ("admin", True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["deactivate", "demote"])
def test_two_admins_who_remove_each_other_at_once_cannot_both_succeed(what: str) -> None:
    site = Site.objects.create(name="Race")
    admins = [make_user(site, Role.ADMIN) for _ in range(2)]
    start = threading.Barrier(3)
    refusals: list[PortalError] = []

    def remove(actor: User, other: User) -> None:
        try:
            start.wait(10)
            membership = membership_of(other)
            if what == "deactivate":
                members.deactivate_member(actor=actor, membership=membership)
            else:
                members.set_role(actor=actor, membership=membership, role=Role.CLINICIAN)
        except (Conflict, Forbidden) as error:
            refusals.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=remove, args=pair) for pair in (admins, admins[::-1])]
    left = Membership.objects.filter(site=site, role=Role.ADMIN, is_active=True)
    with transaction.atomic():  # Both queue up at the site's row; who does not is seen here.
        Site.objects.select_for_update().get(pk=site.pk)
        for thread in threads:
            thread.start()
        start.wait(10)
        time.sleep(0.4)
        assert left.count() == 2
    for thread in threads:
        thread.join(30)
    assert left.count() == 1
    assert len(refusals) == 1


ACTS = [
    ("deactivate", {}),
    ("reactivate", {}),
    ("role", {"role": "admin"}),
    ("reset-password", {}),
]


@pytest.mark.parametrize(("what", "data"), ACTS)
def test_a_clinician_is_refused_and_the_refusal_recorded_once(
    client_of: ClientOf, clinician_a: User, admin_a: User, what: str, data: dict[str, str]
) -> None:
    assert act(client_of(clinician_a), admin_a, what, **data).status_code == 403
    [event] = Event.objects.filter(action="access.deny")
    assert (event.outcome, event.actor_id) == ("denied", clinician_a.pk)
    assert event.object_id == str(membership_of(admin_a).pk)
    assert event.site_id == membership_of(clinician_a).site_id
    assert not user_events()


@pytest.mark.parametrize(("what", "data"), ACTS)
@pytest.mark.parametrize("who", ["admin", "clinician"])
def test_another_site_does_not_exist(
    client_of: ClientOf,
    admin_b: User,
    clinician_b: User,
    clinician_a: User,
    what: str,
    data: dict[str, str],
    who: str,
) -> None:
    client = client_of(admin_b if who == "admin" else clinician_b)
    assert act(client, clinician_a, what, **data).status_code == 404
    assert membership_of(clinician_a).is_active
    assert not user_events()


@pytest.mark.parametrize("path", ["/users/", "/users/invite/"])
def test_the_pages_are_for_admins(client_of: ClientOf, clinician_a: User, path: str) -> None:
    response = client_of(clinician_a).get(path)
    assert response.status_code == 403
    assert "Your role does not allow that." in response.content.decode()
    assert Event.objects.filter(action="access.deny").count() == 1


def test_an_admin_of_one_site_who_is_a_clinician_at_another_manages_only_the_one(
    client_of: ClientOf, admin_a: User, clinician_b: User, south: Site
) -> None:
    Membership.objects.create(user=admin_a, site=south, role=Role.CLINICIAN)
    client = client_of(admin_a)
    assert 'data-user="bob"' not in client.get("/users/").content.decode()
    assert act(client, clinician_b, "deactivate").status_code == 403
    assert membership_of(clinician_b).is_active


def test_what_is_done_needs_a_post_and_the_forgery_token(
    client_of: ClientOf, admin_a: User, clinician_a: User
) -> None:
    path = f"/users/{membership_of(clinician_a).pk}/deactivate/"
    assert client_of(admin_a).get(path).status_code == 405
    assert client_of(admin_a, csrf=True).post(path).status_code == 403
    browser = client_of(admin_a, csrf=True)
    page = browser.get("/users/").content.decode()
    [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[:1])
    assert browser.post(path, {"csrfmiddlewaretoken": token}).status_code == 302
