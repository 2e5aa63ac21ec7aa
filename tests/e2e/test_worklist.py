"""Two people at one worklist, and the worklist by keyboard, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Visitor
from tests.e2e.conftest import NewVisitor
from tests.services.kit import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(240)]


@pytest.fixture
def colleague(visitor: NewVisitor, stack: Stack) -> Visitor:
    """A second person of the same site."""
    person = visitor()
    person.sign_in(*stack.login("admin"))
    return person


def send(person: Visitor, family_name: str, mrn: str, file: Path) -> None:
    """Register somebody, send one picture and wait for its result."""
    record = person.register_patient(family_name, "Ada", mrn, "1961-04-05")
    person.page.goto(f"{record}upload/")
    person.page.get_by_label("Choose X-ray files").set_input_files(file)
    expect(person.page.locator(".upload-item .chip:not(.chip-open)")).to_have_count(1)


def test_a_study_that_one_reads_is_seen_by_the_other_and_handed_over(
    clinician: Visitor, colleague: Visitor, files: dict[str, Path]
) -> None:
    send(clinician, "Bittern", "WL-1", files["first.png"])
    mine, theirs = clinician.page, colleague.page
    mine.goto("/worklist/?q=Bittern")
    theirs.goto("/worklist/?q=Bittern")
    theirs.evaluate("window.sameDocument = true")

    mine.locator("[data-entry]").get_by_role("button", name="I’m reading this").click()
    expect(mine.locator("[data-entry]")).to_contain_text("You are reading")
    expect(mine.locator("#announcer")).to_contain_text("You are reading this study.")

    # The colleague's list is a little old: the press is answered with who has it.
    theirs.locator("[data-entry]").get_by_role("button", name="I’m reading this").click()
    expect(theirs.locator("[data-entry]")).to_contain_text("is reading")
    expect(theirs.locator("[data-entry]").get_by_role("button")).to_have_count(0)
    assert theirs.evaluate("window.sameDocument") is True

    mine.locator(".study-row-link").click()
    bar = mine.locator("#claim-bar")
    expect(bar).to_contain_text("You are reading this study.")
    bar.get_by_label("Hand over to").select_option(index=1)
    bar.get_by_role("button", name="Hand over").click()
    expect(bar).to_contain_text("It is assigned to")

    theirs.goto("/notifications/")
    expect(theirs.locator(".notice").first).to_contain_text("Assigned to you by")
    assert int(theirs.locator(".bell-count").inner_text().split()[0]) >= 1
    theirs.locator(".notice a").first.click()
    bar = theirs.locator("#claim-bar")
    expect(bar).to_contain_text("It is assigned to you.")
    bar.get_by_role("button", name="I’m reading this").click()
    expect(bar).to_contain_text("You are reading this study.")
    mine.goto("/worklist/?q=Bittern")
    expect(mine.locator("[data-entry]")).to_contain_text("is reading")


def test_an_open_list_renews_itself(
    clinician: Visitor, colleague: Visitor, files: dict[str, Path]
) -> None:
    send(clinician, "Avocet", "WL-2", files["first.png"])
    page = clinician.page
    page.goto("/worklist/?q=Avocet")
    page.evaluate("window.sameDocument = true")
    link = page.locator(".study-row-link")
    link.focus()
    colleague.page.goto("/worklist/?q=Avocet")
    colleague.page.get_by_role("button", name="I’m reading this").click()
    expect(colleague.page.locator("[data-entry]")).to_contain_text("You are reading")
    expect(page.locator("[data-entry]")).to_contain_text("is reading")
    assert page.evaluate("window.sameDocument") is True
    expect(link).to_be_focused()


def test_the_worklist_by_keyboard(clinician: Visitor, files: dict[str, Path]) -> None:
    page = clinician.page
    for number, name in enumerate(("Curlew", "Curlewson", "Curlewsdottir")):
        send(clinician, name, f"WL-3{number}", files["first.png"])
    page.goto("/worklist/?q=Curlew")
    links = page.locator(".study-row-link")
    expect(links).to_have_count(3)
    for key, focused in (("j", 0), ("j", 1), ("j", 2), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        expect(links.nth(focused)).to_be_focused()

    page.keyboard.press("c")
    second = page.locator("[data-entry]").nth(1)
    expect(second).to_contain_text("You are reading")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("c")
    expect(second).not_to_contain_text("You are reading")
    expect(links.nth(1)).to_be_focused()

    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keyboard")
    expect(keys).to_contain_text("claim it, or give it back")
    page.keyboard.press("j")
    expect(keys).to_be_visible()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()

    page.keyboard.press("/")
    expect(page.get_by_label("Patient")).to_be_focused()
    page.keyboard.type("j?c")
    expect(keys).to_be_hidden()

    links.nth(1).focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/studies/[0-9a-f-]{36}/$"))
    page.goto("/worklist/?q=Curlew")
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile(r"/studies/[0-9a-f-]{36}/$"))
    expect(page.locator("#claim-bar")).to_contain_text("You are reading this study.")
    expect(page.locator("h1")).to_have_text("Curlew, Ada")


def test_claiming_works_without_scripts(
    visitor: NewVisitor, clinician: Visitor, stack: Stack, files: dict[str, Path]
) -> None:
    send(clinician, "Egret", "WL-4", files["first.png"])
    person = visitor(java_script_enabled=False)
    person.sign_in(*stack.login("clinician"))
    person.page.goto("/worklist/?q=WL-4")
    person.page.get_by_role("button", name="I’m reading this").click()
    expect(person.page.get_by_text("You are reading this study.")).to_be_visible()
