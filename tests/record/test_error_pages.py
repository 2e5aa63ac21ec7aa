"""When something does not work, the page says so calmly, whatever is broken."""

from __future__ import annotations

import pytest
from django.template.loader import get_template

from screening.accounts.models import User
from tests.personas import PASSWORD, ClientOf


def test_the_page_for_a_fault_needs_nothing_that_may_be_broken() -> None:
    page = get_template("500.html").render()  # as Django's handler does: no request, no database
    assert "Something went wrong" in page
    assert "Decision support" in page


@pytest.mark.django_db
def test_an_unknown_address_keeps_the_way_home(client_of: ClientOf, clinician_a: User) -> None:
    answer = client_of(clinician_a).get("/no/such/page/")
    assert answer.status_code == 404
    assert "Nothing here" in answer.content.decode()
    assert 'href="/"' in answer.content.decode()


@pytest.mark.django_db
def test_what_a_role_does_not_allow_is_said_plainly(client_of: ClientOf, clinician_a: User) -> None:
    answer = client_of(clinician_a).get("/users/")
    assert answer.status_code == 403
    assert "Not allowed" in answer.content.decode()


@pytest.mark.django_db
def test_a_stale_form_asks_to_send_it_again(client_of: ClientOf, clinician_a: User) -> None:
    answer = client_of(None, csrf=True).post(
        "/login/", {"username": clinician_a.username, "password": PASSWORD}
    )
    assert answer.status_code == 403
    assert "Please send it again" in answer.content.decode()
