"""A study is read blind, revealed, overridden, signed and added to; a colleague looks again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from ml.phantom import phantom_png
from tests.e2e.browser import Visitor
from tests.e2e.conftest import NewVisitor
from tests.e2e.test_admin import PASSWORD, accept, invite

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(240)]

ANSWER = re.compile(r"(COVID-19|Pneumonia|Normal)")
SHARE = re.compile(r"\d+%")


@pytest.fixture
def blind_site(admin: Visitor) -> Iterator[Visitor]:
    """The admin's site, reading blind first for the length of one test."""
    admin.page.goto("/site/reading/")
    admin.page.get_by_role("button", name="Switch on").click()
    expect(admin.page.get_by_text("Blind-first reading is on.")).to_be_visible()
    yield admin
    admin.page.goto("/site/reading/")
    admin.page.get_by_role("button", name="Switch off").click()


def send_film(person: Visitor, family_name: str, mrn: str, seed: int) -> None:
    """Register somebody, send one drawing, and open its study."""
    record = person.register_patient(family_name, "Rosa", mrn, "1957-08-30")
    person.page.goto(f"{record}upload/")
    person.page.get_by_label("Choose X-ray files").set_input_files(
        {
            "name": "chest.png",
            "mimeType": "image/png",
            "buffer": phantom_png(seed=seed, size=(512, 512)),
        }
    )
    expect(person.page.locator(".upload-item")).to_contain_text("Read first")
    person.page.get_by_role("link", name="Open study").click()
    expect(person.page.locator("#reading")).to_be_visible()


def saved(page: Page) -> None:
    expect(page.locator("#draft-status")).to_contain_text("Draft saved")


def test_read_blind_reveal_override_sign_add_and_look_again(
    blind_site: Visitor, clinician: Visitor
) -> None:
    page = clinician.page
    send_film(clinician, "Heron", "E2E-READ-1", 21)
    study = page.url
    expect(page.locator("#main")).not_to_contain_text(SHARE)
    expect(page.locator("[data-heatmap] image")).to_have_count(0)

    # Numbers choose, but not while one writes.
    page.keyboard.press("4")
    expect(page.get_by_role("radio", name="Other finding")).to_be_checked()
    page.get_by_label("Text").fill("A small effusion on the left, 2 cm.")
    page.get_by_label("Text").press("1")
    expect(page.get_by_role("radio", name="Other finding")).to_be_checked()
    saved(page)
    page.reload()
    expect(page.get_by_label("Text")).to_have_value("A small effusion on the left, 2 cm.1")
    page.get_by_role("button", name="Record and show the AI’s answer").click()

    expect(page.locator(".bars meter")).to_have_count(3)
    expect(page.locator("[data-heatmap] image")).to_have_count(1)
    expect(page.locator("#reading")).to_contain_text("First impression")
    answer = page.locator("#reading-answer legend")
    expect(answer).to_contain_text(ANSWER)

    # "Other" is no class of the model, so the stance is worked out; the reason is the reader's.
    page.keyboard.press("4")
    expect(page.get_by_label("My reading overrides it")).to_be_checked()
    clinician.expected.append("/reading/sign/")
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Say why you override")
    expect(page.get_by_label("Why?")).to_be_focused()
    page.get_by_label("Why?").fill("Fluid, which the model does not know.")
    page.get_by_role("button", name="Sign", exact=True).click()

    reading = page.locator("[data-signed]")
    expect(reading).to_contain_text("Other finding")
    expect(reading).to_contain_text("Reading of record")
    expect(reading).to_contain_text("Fluid, which the model does not know.")
    expect(page.locator("#reading-form")).to_have_count(0)
    expect(page.locator("#second-look")).to_contain_text("waits for a colleague")
    expect(page.locator("[data-next-study]")).to_be_visible()

    page.get_by_text("Add an addendum").click()
    page.get_by_label("What is to be added?").fill("Known since last year.")
    page.get_by_role("button", name="Sign the addendum").click()
    expect(page.locator(".addendum")).to_contain_text("Known since last year.")

    # The second look is a colleague's.
    other = blind_site.page
    other.goto("/readings/second-looks/")
    row = other.locator(".look-row").filter(has_text="E2E-READ-1")
    expect(row).to_contain_text("Other finding")
    row.get_by_role("link").click()
    assert other.url.startswith(study.split("#")[0])
    other.get_by_label("Agrees with the reading").check()
    other.get_by_label("What do you see?").fill("Fluid, I see it too.")
    other.get_by_role("button", name="Record the second look").click()
    expect(other.locator(".look-row").filter(has_text="E2E-READ-1")).to_have_count(0)
    page.goto(study)
    expect(page.locator("#second-look")).to_contain_text("Fluid, I see it too.")


def test_two_tabs_do_not_eat_each_others_words(blind_site: Visitor, clinician: Visitor) -> None:
    page = clinician.page
    clinician.expected.append("/reading/draft/")
    send_film(clinician, "Egret", "E2E-READ-2", 24)
    other = clinician.context.new_page()
    other.goto(page.url)
    page.get_by_label("Text").fill("From the first tab.")
    saved(page)
    other.get_by_label("Text").fill("From the second tab.")
    alert = other.locator("#draft-status").get_by_role("alert")
    expect(alert).to_contain_text("From the first tab.")
    expect(other.get_by_label("Text")).to_have_value("From the second tab.")
    other.get_by_role("button", name="Keep what is entered here").click()
    saved(other)
    # Now it is the first that is told.
    page.get_by_label("Text").press_sequentially(" And more.")
    expect(page.locator("#draft-status").get_by_role("alert")).to_contain_text(
        "From the second tab."
    )
    page.get_by_role("link", name="Take over what was saved there").click()
    expect(page.get_by_label("Text")).to_have_value("From the second tab.")
    # Words typed just before leaving are kept, too.
    page.get_by_label("Text").fill("From the second tab. The end.")
    page.goto("/")
    page.goto(other.url)
    expect(page.get_by_label("Text")).to_have_value("From the second tab. The end.")


def test_another_readers_first_impression_reveals_nothing_to_me(
    blind_site: Visitor, clinician: Visitor, visitor: NewVisitor
) -> None:
    send_film(clinician, "Stork", "E2E-READ-3", 27)
    study = clinician.page.url
    colleague = visitor()
    link = invite(blind_site, "rita@example.org")
    accept(colleague, link, "rita", "Rita", "Reader")
    if "/login/" in colleague.page.url:
        colleague.sign_in("rita", PASSWORD)
    clinician.page.keyboard.press("3")
    clinician.page.get_by_role("button", name="Record and show the AI’s answer").click()
    expect(clinician.page.locator(".bars meter")).to_have_count(3)
    for person in (colleague, blind_site):
        person.page.goto(study)
        expect(person.page.locator("#main")).not_to_contain_text(SHARE)
        for address in ("/", "/worklist/"):
            person.page.goto(address)
            expect(person.page.locator("#main").get_by_text("Stork").first).to_be_visible()
            row = person.page.locator("#main li, #main tr").filter(has_text="E2E-READ-3").first
            expect(row).not_to_contain_text(SHARE)
            expect(row).not_to_contain_text(re.compile("flag", re.IGNORECASE))
        for label in ("covid", "pneumonia", "normal"):
            person.page.goto(f"/studies/?label={label}")
            expect(person.page.get_by_text("Stork")).to_have_count(0)
