"""How a colleague comes in: the link, what it promises, and when it is dead."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.db import connection, connections
from django.test import Client
from django.utils import timezone

from screening.accounts.models import Invitation, Membership, Site, User
from screening.accounts.services import invitations
from screening.audit.models import Event
from tests.personas import PASSWORD, ClientOf, make_user

NEW = {
    "username": "Carol",
    "first_name": "Carol",
    "last_name": "Cooper",
    "password1": PASSWORD,
    "password2": PASSWORD,
}
GONE = "This invitation does not work any more."


def invite(client: Client, email: str = "carol@example.org", role: str = "clinician") -> Any:
    return client.post("/users/invite/", {"email": email, "role": role})


def link_in(page: str) -> str:
    [link] = re.findall(r'value="(http://testserver/invitation/[^"]+)"', page)
    return urlsplit(link).path


@pytest.fixture
def link(client_of: ClientOf, admin_a: User) -> str:
    return link_in(invite(client_of(admin_a)).content.decode())


def test_the_whole_way_in(client_of: ClientOf, admin_a: User, north: Site) -> None:
    admin = client_of(admin_a)
    link = link_in(invite(admin, role="admin").content.decode())
    assert "carol@example.org" in admin.get("/users/").content.decode()
    newcomer = Client()
    page = newcomer.get(link).content.decode()
    assert "Welcome to North Hospital" in page
    assert "Administrator" in page
    done = newcomer.post(link, NEW, follow=True)
    assert "Your account carol is ready." in done.content.decode()
    assert newcomer.post("/login/", {"username": "carol", "password": PASSWORD}).status_code == 302
    # An administrator sets up a second factor before anything else.
    assert newcomer.get("/users/")["Location"] == "/account/second-factor/?next=%2Fusers%2F"
    carol = User.objects.get(username="carol")
    assert (carol.email, carol.get_full_name()) == ("carol@example.org", "Carol Cooper")
    assert Membership.objects.get(user=carol).site == north
    assert "Pending invitations" not in admin.get("/users/").content.decode()
    events = Event.objects.filter(action__startswith="invitation.").order_by("id")
    assert [(e.action, e.actor_id) for e in events] == [
        ("invitation.create", admin_a.pk),
        ("invitation.accept", carol.pk),
    ]


def test_the_link_is_shown_once_and_never_stored(
    client_of: ClientOf, admin_a: User, link: str
) -> None:
    token = link.split("/")[2]
    assert token not in client_of(admin_a).get("/users/").content.decode()
    with connections["default"].cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608  (our own tables)
            stored = str(cursor.fetchall())
            assert token not in stored
            assert token.split(".")[0] not in stored


def test_it_works_once(link: str) -> None:
    assert Client().post(link, NEW).status_code == 302
    again = Client().get(link)
    assert again.status_code == 410
    assert GONE in again.content.decode()
    assert Client().post(link, {**NEW, "username": "mallory"}).status_code == 410
    assert not User.objects.filter(username="mallory").exists()


def test_a_week_later_it_is_dead(link: str) -> None:
    invitation = Invitation.objects.get()
    assert timedelta(days=6, hours=23) < invitation.expires_at - timezone.now() <= timedelta(days=7)
    Invitation.objects.update(expires_at=timezone.now())
    for answer in (Client().get(link), Client().post(link, NEW)):
        assert answer.status_code == 410


def test_a_revoked_one_is_dead_and_gone_from_the_list(
    client_of: ClientOf, admin_a: User, link: str
) -> None:
    admin = client_of(admin_a)
    path = f"/invitations/{Invitation.objects.get().pk}/revoke/"
    page = admin.post(path, follow=True).content.decode()
    assert "The invitation for carol@example.org is revoked." in page
    assert "Pending invitations" not in page
    admin.post(path)
    assert Client().post(link, NEW).status_code == 410
    assert Event.objects.filter(action="invitation.revoke").count() == 1


def test_an_accepted_one_cannot_be_revoked(client_of: ClientOf, admin_a: User, link: str) -> None:
    Client().post(link, NEW)
    answer = client_of(admin_a).post(f"/invitations/{Invitation.objects.get().pk}/revoke/")
    assert answer.status_code == 409
    assert "was accepted in the meantime" in answer.content.decode()


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: "x" + t, lambda t: t + ".x"])
def test_a_link_that_is_not_ours_is_dead(link: str, change: Any) -> None:
    token = link.split("/")[2]
    assert Client().get(f"/invitation/{change(token)}/").status_code == 410


def test_a_signed_token_that_was_never_issued_is_dead(db: None) -> None:
    token = invitations._signer().sign("made-up")
    assert Client().get(f"/invitation/{token}/").status_code == 410


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"username": "ALICE"}, "This user name is taken."),
        ({"username": "a b"}, "Use letters a to z"),
        ({"username": "аlice"}, "Use letters a to z"),  # the first letter is Cyrillic
        ({"password1": "short", "password2": "short"}, "too short"),
        ({"password1": "carolcooper", "password2": "carolcooper"}, "too similar"),
        ({"password2": "something-else-1"}, "The two passwords differ."),
        ({"last_name": ""}, "This field is required."),
    ],
)
def test_mistakes_are_explained_and_the_link_lives_on(
    link: str, clinician_a: User, change: dict[str, str], sentence: str
) -> None:
    page = Client().post(link, {**NEW, **change}).content.decode()
    assert sentence in page
    assert Client().post(link, NEW).status_code == 302


def test_the_same_address_is_not_invited_twice(
    client_of: ClientOf, admin_a: User, clinician_a: User, link: str
) -> None:
    admin = client_of(admin_a)
    assert "has a pending invitation" in invite(admin, "CAROL@example.org").content.decode()
    assert "works at the site already" in invite(admin, "Alice@example.org").content.decode()
    assert Invitation.objects.count() == 1


@pytest.mark.parametrize("data", [{"email": "x"}, {"role": "root"}, {"email": ""}])
def test_an_invitation_needs_an_address_and_a_role(
    client_of: ClientOf, admin_a: User, data: dict[str, str]
) -> None:
    answer = client_of(admin_a).post(
        "/users/invite/", {"email": "a@example.org", "role": "clinician", **data}
    )
    assert answer.status_code == 200
    assert "Please correct what is marked below." in answer.content.decode()
    assert not Invitation.objects.exists()


def test_where_a_mail_server_is_set_up_the_link_goes_by_mail_and_is_not_shown(
    client_of: ClientOf, admin_a: User, settings: Any
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    page = invite(client_of(admin_a)).content.decode()
    assert "was sent by e-mail to carol@example.org" in page
    assert "/invitation/" not in page
    [letter] = mail.outbox
    assert letter.to == ["carol@example.org"]
    [link] = re.findall(r"http://testserver(/invitation/\S+)", str(letter.body))
    assert Client().post(link, NEW).status_code == 302


def test_a_mail_server_that_is_away_costs_no_invitation(
    client_of: ClientOf, admin_a: User, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 2
    link = link_in(invite(client_of(admin_a)).content.decode())
    assert Client().get(link).status_code == 200


def test_somebody_with_an_account_joins_with_it(
    client_of: ClientOf, clinician_b: User, north: Site, link: str
) -> None:
    theirs = client_of(clinician_b)
    page = theirs.get(link).content.decode()
    assert "Join with this account" in page
    assert "password" not in page.split("<main")[1].split("</main")[0].lower()
    assert theirs.post(link).status_code == 302
    assert Membership.objects.filter(user=clinician_b, site=north, is_active=True).exists()
    assert Client().get(link).status_code == 410


def test_joining_where_one_works_already_is_refused_and_keeps_the_link(
    client_of: ClientOf, clinician_a: User, link: str
) -> None:
    answer = client_of(clinician_a).post(link)
    assert answer.status_code == 409
    assert Membership.objects.get(user=clinician_a).role == "clinician"
    assert Client().get(link).status_code == 200


def test_another_sites_invitation_does_not_exist(
    client_of: ClientOf, admin_b: User, clinician_b: User, clinician_a: User, link: str
) -> None:
    path = f"/invitations/{Invitation.objects.get().pk}/revoke/"
    assert client_of(admin_b).post(path).status_code == 404
    assert client_of(clinician_b).post(path).status_code == 404
    assert client_of(clinician_a).post(path).status_code == 403
    assert Client().get(link).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_two_who_open_the_link_at_once_make_one_account() -> None:
    site = Site.objects.create(name="Race")
    admin = make_user(site, "admin")
    issued = invitations.create_invitation(
        actor=admin, site=site, email="x@example.org", role="clinician", build_url=str
    )
    token = issued.link.split("/")[2]
    start = threading.Barrier(3)
    gone: list[str] = []

    def accept(username: str) -> None:
        try:
            start.wait(10)
            invitations.accept_invitation(
                token=token, username=username, first_name="", last_name="", password=PASSWORD
            )
        except invitations.InvitationGone:
            gone.append(username)
        finally:
            connection.close()

    threads = [threading.Thread(target=accept, args=(f"racer{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(gone) == 2
    assert User.objects.filter(username__startswith="racer").count() == 1
    assert Membership.objects.filter(site=site).count() == 2
