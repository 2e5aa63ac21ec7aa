"""An administrator lets somebody in and shows somebody out."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Visitor
from tests.e2e.conftest import NewVisitor

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(180)]

PASSWORD = "curlew-over-the-moor-77"


def invite(admin: Visitor, email: str, role: str = "Clinician") -> str:
    """Invite a colleague on the admin's page; return the link."""
    page = admin.page
    page.goto("/users/")
    page.get_by_role("link", name="Invite a colleague").click()
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Role").select_option(label=role)
    page.get_by_role("button", name="Create invitation").click()
    return page.get_by_label("Link for your colleague").input_value()


def accept(person: Visitor, link: str, username: str, first_name: str, last_name: str) -> None:
    page = person.page
    page.goto(link)
    page.get_by_label("User name").fill(username)
    page.get_by_label("First name").fill(first_name)
    page.get_by_label("Last name").fill(last_name)
    for field in page.locator("input[type=password]").all():
        field.fill(PASSWORD)
    page.get_by_role("button", name="Create my account").click()


def test_an_invited_person_comes_in_and_a_deactivated_one_is_out_at_the_next_click(
    admin: Visitor, visitor: NewVisitor
) -> None:
    link = invite(admin, "ivo@example.org")
    newcomer = visitor()
    accept(newcomer, link, "ivo", "Ivo", "Newman")
    if "/login/" in newcomer.page.url:
        newcomer.sign_in("ivo", PASSWORD)
    expect(newcomer.page.get_by_label("Name or MRN")).to_be_visible()
    expect(newcomer.page.locator(".site-nav")).not_to_contain_text("Site")

    # The link worked once.
    stranger = visitor()
    stranger.expected.append("/invitation/")
    stranger.page.goto(link)
    expect(stranger.page.get_by_role("button", name="Create my account")).to_have_count(0)

    admin.page.goto("/users/")
    row = admin.page.locator("tr[data-user=ivo]")
    expect(row).to_contain_text("Active")
    row.get_by_role("button", name=re.compile("Deactivate")).click()
    expect(admin.page.locator("tr[data-user=ivo]")).to_contain_text("Not active")

    newcomer.page.get_by_role("link", name="Patients").click()
    expect(newcomer.page).to_have_url(re.compile("/login/"))
    expect(newcomer.page.get_by_role("alert")).to_contain_text("not active")
    newcomer.page.goto("/studies/")
    expect(newcomer.page).to_have_url(re.compile("/login/"))


def test_the_last_administrator_cannot_be_deactivated(admin: Visitor) -> None:
    admin.expected.append("/deactivate/")
    admin.page.goto("/users/")
    me = admin.page.locator("tr", has_text="Administrator").filter(
        has=admin.page.locator("option[value=admin][selected]")
    )
    me.get_by_role("button", name=re.compile("Deactivate")).click()
    expect(admin.page.get_by_role("alert")).to_be_visible()
    admin.page.goto("/users/")
    expect(admin.page.get_by_role("heading", name="Users")).to_be_visible()
