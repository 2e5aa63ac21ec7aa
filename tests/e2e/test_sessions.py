"""The end of sessions, signing in elsewhere, and a token on its way to a program."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from screening.accounts.models import Session, Site, User
from screening.accounts.session_store import SessionStore
from screening.accounts.sign_on.config import GroupRole, SignOn
from screening.patients.models import Patient
from tests.e2e import axe
from tests.e2e.browser import PHONE, Visitor
from tests.oidc import running_provider
from tests.personas import *  # noqa: F403  (fixtures)
from tests.personas import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(180)]

NewPerson = Callable[..., Visitor]


@pytest.fixture
def person(browser: Browser, live_server: LiveServer, north: Site) -> Iterator[NewPerson]:
    """Makes visitors of a portal in this process, whose clock and settings a test may turn."""
    made: list[Visitor] = []

    def new(user: User | None = None, **options: Any) -> Visitor:
        base = live_server.url.replace("localhost", "127.0.0.1")
        made.append(Visitor(browser, base, **options))
        made[-1].page.clock.install()
        if user is not None:
            made[-1].sign_in(user.username, PASSWORD)
        return made[-1]

    yield new
    for one in made:
        one.close()


def pass_time(seconds: float, *pages: Page, person: User) -> None:
    """Let so much time go by, for the portal and for the pages."""
    for row in Session.objects.filter(user=person):
        data = row.get_decoded()
        data["renewed_at"] -= seconds
        Session.objects.filter(pk=row.pk).update(
            session_data=SessionStore().encode(data),
            expire_date=row.expire_date.fromtimestamp(
                row.expire_date.timestamp() - seconds, row.expire_date.tzinfo
            ),
        )
    for page in pages[:1]:  # The clock is the browser's, the same for all its pages.
        page.clock.fast_forward(int(seconds * 1000))


def test_an_unattended_page_asks_then_closes_in_every_tab(
    person: NewPerson, clinician_a: User, patient_a: Patient
) -> None:
    alice = person(clinician_a)
    alice.expected += ["/account/session/", "/notifications/"]
    first, second = alice.page, alice.context.new_page()
    first.goto(f"/patients/{patient_a.pk}/")
    second.goto("/patients/")
    expect(second.get_by_text("Nordlund").first).to_be_visible()

    pass_time(29 * 60 + 10, first, second, person=clinician_a)
    question = first.get_by_role("dialog", name="Are you still there?")
    expect(question).to_be_visible()
    assert not axe.barriers(first)
    expect(second.get_by_role("dialog", name="Are you still there?")).to_be_visible()
    question.get_by_role("button", name="Stay signed in").click()
    expect(question).to_be_hidden()
    expect(second.get_by_role("dialog", name="Are you still there?")).to_be_hidden()
    [row] = Session.objects.filter(user=clinician_a)
    assert row.expire_date.timestamp() - time.time() > 29 * 60

    assert not alice.complaints  # Without a network there will be some.

    # The page knows by its own clock, and shows nobody's name.
    alice.context.set_offline(True)
    pass_time(30 * 60 + 5, first, second, person=clinician_a)
    for page in (first, second):
        expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
        expect(page.get_by_text("Nordlund").first).to_be_hidden()
    alice.context.set_offline(False)
    first.clock.fast_forward(3000)
    for page in (first, second):
        page.wait_for_url("**/login/?closed=idle&next=**")
        expect(page.get_by_role("alert")).to_contain_text("nothing was done for a while")


def test_whoever_works_in_the_page_is_not_asked(
    person: NewPerson, clinician_a: User, patient_a: Patient
) -> None:
    alice = person(clinician_a)
    page = alice.page
    page.goto("/patients/new/")
    for _ in range(3):
        pass_time(20 * 60, page, person=clinician_a)
        with page.expect_response("**/account/session/renew/") as renewed:
            page.get_by_label("Family name").press_sequentially("x")
        assert renewed.value.json()["idle_s"] > 29 * 60
    expect(page.get_by_role("dialog", name="Are you still there?")).to_be_hidden()
    assert not alice.complaints


def test_a_session_is_ended_from_another_browser(
    person: NewPerson, clinician_a: User, admin_a: User
) -> None:
    here, there = person(clinician_a), person(clinician_a, viewport=PHONE)
    there.page.goto("/patients/")
    page = here.page
    page.locator(".user-menu summary").click()
    page.get_by_role("link", name="Where I am signed in").click()
    expect(page.get_by_text("This session")).to_have_count(1)
    rows = page.locator("tr[data-session]")
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="End the session").click()
    expect(rows).to_have_count(1)
    there.page.get_by_role("link", name="Studies").click()
    there.page.wait_for_url("**/login/?next=/studies/")
    page.goto("/patients/")
    expect(page.get_by_role("heading", name="Patients")).to_be_visible()
    assert not here.complaints + there.complaints


def test_somebody_signs_in_at_the_identity_provider(person: NewPerson, settings: Any) -> None:
    with running_provider() as provider:
        settings.SIGN_ON = SignOn(
            name="North IT",
            issuer=provider.base,
            client_id="thorascreen",
            client_secret="a-secret-of-the-client",
            groups=(GroupRole("readers", "North Hospital", "clinician"),),
        )
        names = {"preferred_username": "nora", "given_name": "Nora", "family_name": "Northey"}
        provider.person("s-1", **names, groups=["readers"])
        provider.person("s-2", preferred_username="stranger", groups=["others"])
        nora = person()
        for subject in ("s-2", "s-1"):
            nora.page.goto("/login/?next=/patients/")
            assert not axe.barriers(nora.page)
            nora.page.get_by_role("link", name="Sign in with North IT").click()
            nora.page.get_by_placeholder("sub").fill(subject)
            nora.page.get_by_role("button", name="Authorize").click()
            if subject == "s-2":
                expect(nora.page.get_by_role("alert")).to_contain_text("has no role here")
        nora.page.wait_for_url("**/patients/")
        expect(nora.page.locator(".user-menu-name")).to_have_text("Nora Northey")
        assert not [c for c in nora.complaints if provider.base not in c and "jsdelivr" not in c]


def test_a_token_is_made_and_a_program_uses_it(
    person: NewPerson, clinician_a: User, patient_a: Patient, files: dict[str, Path]
) -> None:
    alice = person(clinician_a)
    page = alice.page
    page.locator(".user-menu summary").click()
    page.get_by_role("link", name="API tokens").click()
    page.get_by_label("Name").fill("Export to the register")
    page.get_by_role("button", name="Make the token").click()
    secret = page.get_by_label("Token", exact=True).input_value()
    assert not axe.barriers(page)

    headers = {"Authorization": f"Token {secret}"}
    api = f"{alice.base}/api/v1"
    read = requests.get(f"{api}/patients/", headers=headers, timeout=30)
    assert [one["mrn"] for one in read.json()["results"]] == ["N-1001"]
    sent = requests.post(
        f"{api}/studies/",
        headers=headers,
        data={"patient": str(patient_a.pk)},
        files={"images": files["first.png"].read_bytes()},
        timeout=30,
    )
    assert (sent.status_code, sent.json()["code"]) == (403, "token_scope")

    page.get_by_role("link", name="Done").click()
    row = page.locator("tr[data-token]")
    expect(row).to_contain_text("127.0.0.1")
    expect(page.locator("body")).not_to_contain_text(secret)
    row.get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    assert requests.get(f"{api}/patients/", headers=headers, timeout=30).status_code == 401
    assert not alice.complaints
