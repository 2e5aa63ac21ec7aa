"""Coming in: invitation, password, second factor, recovery code, security key, too many guesses."""

from __future__ import annotations

import time

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect

from tests.e2e import axe
from tests.e2e.browser import PHONE, Visitor
from tests.e2e.conftest import NewVisitor
from tests.e2e.test_admin import PASSWORD, accept, invite
from tests.services.kit import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(180)]


@pytest.fixture
def first_admin(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The first admin of a new site, which asks its administrators for a second factor."""
    password = tmp_path_factory.mktemp("secret") / "password"
    password.write_text(PASSWORD)
    site = ("--site", "East", "--username", "edna")
    stack.manage("create_admin", *site, "--password-file", str(password))
    return "edna"


def code_for(secret: str) -> str:
    """What the app shows now; the portal accepts those of the half minutes beside it as well."""
    return format_hotp_value(hotp_value(secret.replace(" ", ""), int(time.time()) // 30))


def enter(person: Visitor, username: str, password: str = PASSWORD) -> None:
    """User name and password, on the log-in page."""
    page = person.page
    page.goto("/login/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def add_app(page: Page) -> tuple[str, list[str]]:
    """From the list of factors: the secret of a new app, and the recovery codes."""
    page.get_by_role("link", name="Authenticator app").click()
    expect(page.locator(".qr svg")).to_be_visible()
    assert not axe.barriers(page)
    secret = page.locator("[data-secret]").inner_text()
    page.get_by_label("Code from the app").fill(code_for(secret))
    page.get_by_role("button", name="Add the app").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    assert not axe.barriers(page)
    return secret, page.locator(".recovery-codes code").all_inner_texts()


def answer_with_code(page: Page, code: str) -> None:
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Confirm with the code").click()


def test_an_invited_admin_sets_up_an_app_and_comes_back_with_a_recovery_code(
    visitor: NewVisitor, first_admin: str
) -> None:
    admin = visitor()
    enter(admin, first_admin)
    expect(admin.page.get_by_role("alert")).to_contain_text("Your site asks your role")
    admin.page.goto("/patients/")  # Everything else leads back here.
    admin.page.wait_for_url("**/account/second-factor/?next=**")
    add_app(admin.page)
    admin.page.get_by_role("link", name="I have kept them").click()
    admin.page.wait_for_url("**/patients/")

    colleague = visitor(viewport=PHONE)
    link = invite(admin, "ester@example.org", role="Administrator")
    accept(colleague, link, "ester", "Ester", "East")
    page = colleague.page
    expect(page.get_by_text("is ready")).to_be_visible()
    enter(colleague, "ester")
    page.wait_for_url("**/account/second-factor/")
    assert colleague.sideways() <= 0
    _secret, codes = add_app(page)
    assert colleague.sideways() <= 0
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert codes[0].replace(" ", "") in download.value.path().read_text()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 codes are left")).to_be_visible()
    colleague.sign_out()

    enter(colleague, "ester")
    answer_with_code(page, codes[3])
    page.wait_for_url(colleague.base + "/")
    page.goto("/account/second-factor/")
    expect(page.get_by_text("9 codes are left")).to_be_visible()
    colleague.sign_out()
    enter(colleague, "ester")
    answer_with_code(page, codes[3])
    expect(page.get_by_role("alert")).to_contain_text("it was used already")
    assert not axe.barriers(page)


def test_a_security_key_is_added_named_used_and_removed(
    visitor: NewVisitor, stack: Stack, admin: Visitor
) -> None:
    """With Chromium's virtual authenticator, on a name: keys know no bare addresses."""
    person = visitor(base=stack.base.replace("127.0.0.1", "localhost"))
    page = person.page
    devices = person.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    link = invite(admin, "kim@example.org").replace("127.0.0.1", "localhost")
    accept(person, link, "kim", "Kim", "Keys")
    expect(page.get_by_text("is ready")).to_be_visible()
    enter(person, "kim")
    page.wait_for_url(person.base + "/")
    page.goto("/account/second-factor/")
    page.get_by_role("link", name="Security key or passkey").click()
    page.get_by_label("Name of the key").fill("Blue key")
    assert not axe.barriers(page)
    page.get_by_role("button", name="Add the key").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    page.get_by_role("link", name="I have kept them").click()
    row = page.locator("tr[data-factor=webauthn]")
    expect(row.get_by_role("rowheader")).to_contain_text("Blue key")
    row.get_by_label("New name of Blue key").fill("Red key")
    row.get_by_role("button", name="Rename").click()
    expect(row.get_by_role("rowheader")).to_contain_text("Red key")
    person.sign_out()

    enter(person, "kim")
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    assert not axe.barriers(page)
    page.get_by_role("button", name="Use a security key").click()
    page.wait_for_url(person.base + "/")
    page.goto("/account/second-factor/")
    page.get_by_role("link", name="Authenticator app").click()
    page.get_by_label("Code from the app").fill(
        code_for(page.locator("[data-secret]").inner_text())
    )
    page.get_by_role("button", name="Add the app").click()
    # The recovery codes of the first factor stand in for this one too.
    expect(page.locator("tr[data-factor]")).to_have_count(2)
    row.get_by_role("button", name="Remove").click()
    expect(page.locator("tr[data-factor]")).to_have_count(1)


def test_too_many_guesses_are_told_how_long_to_wait(visitor: NewVisitor) -> None:
    """Whether there is such a name or not."""
    person = visitor()
    person.expected.append("/login/")  # Chromium reports the 429 on its console.
    for _ in range(5):
        enter(person, "somebody")
        expect(person.page.get_by_role("alert")).to_contain_text("password is wrong")
    enter(person, "somebody")
    expect(person.page.get_by_role("alert")).to_contain_text("Too many attempts. Please wait")
