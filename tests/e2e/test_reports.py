"""Wrong patients, reports and comparisons, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import Visitor
from tests.services.kit import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(180)]


def test_a_film_of_somebody_else_is_asked_about_before_it_is_stored(
    clinician: Visitor, files: dict[str, Path]
) -> None:
    page = clinician.page
    clinician.expected.append("/uploads/")
    record = clinician.register_patient("Dotterel", "Dana", "E2E-MM-1", "1970-02-02")
    page.goto(f"{record}upload/")
    page.get_by_label("Choose X-ray files").set_input_files(files["stranger.dcm"])
    question = page.get_by_role("group", name=re.compile("Is stranger.dcm an X-ray of Dotterel"))
    expect(question).to_contain_text("PHANTOM-0015")
    expect(question).to_contain_text("E2E-MM-1")
    expect(page.locator("#upload-summary")).to_have_text("1 waiting for your answer")
    question.get_by_role("button", name="No, do not store it").click()
    expect(page.locator(".upload-item")).to_contain_text("Refused")
    page.goto(record)
    expect(page.locator("main")).to_contain_text("No X-ray yet.")

    page.goto(f"{record}upload/")
    page.get_by_label("Choose X-ray files").set_input_files(files["stranger.dcm"])
    page.get_by_role("button", name="Yes, it is this patient’s").click()
    expect(page.locator(".upload-item")).to_contain_text("Accepted")


def test_a_report_is_issued_fetched_and_checked_by_a_stranger(
    clinician: Visitor, files: dict[str, Path], stack: Stack, browser: Browser, tmp_path: Path
) -> None:
    page = clinician.page
    record = clinician.register_patient("Sanderling", "Sam", "E2E-RP-1", "1970-02-02")
    page.goto(f"{record}upload/")
    page.get_by_label("Choose X-ray files").set_input_files(files["first.png"])
    expect(page.locator(".upload-item .chip:not(.chip-open)")).to_have_count(1)
    page.get_by_role("link", name="Open study").click()
    page.get_by_role("link", name="Reports").click()
    expect(page.get_by_role("link", name="Preliminary PDF")).to_be_visible()
    page.get_by_role("link", name="Study of Sanderling").click()

    answer = page.locator("#reading-answer").get_attribute("data-answer")
    page.locator(f"#reading input[name=impression][value={answer}]").check()
    page.locator("#reading input[name=stance][value=agrees]").check()
    page.locator("#reading").get_by_role("button", name="Sign").click()
    expect(page.locator("#reading")).to_contain_text("Signed by")

    page.get_by_role("link", name="Reports").click()
    page.get_by_role("button", name="Issue the report").click()
    expect(page.locator(".report-row")).to_contain_text("Genuine and current")
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF of version 1").click()
    pdf = tmp_path / "report.pdf"
    download.value.save_as(pdf)
    assert pdf.read_bytes().startswith(b"%PDF-")
    address = page.get_by_role("link", name="Public page").get_attribute("href") or ""

    stranger = Visitor(browser, stack.base)
    stranger.page.goto(address)
    main = stranger.page.locator("main")
    expect(main).to_contain_text("Genuine and current")
    expect(main).not_to_contain_text("Sanderling")
    stranger.page.locator("#file").set_input_files(pdf)
    expect(main.locator("[data-outcome]")).to_contain_text("the one that was issued")
    pdf.write_bytes(pdf.read_bytes() + b"\n")
    stranger.page.locator("#file").set_input_files(pdf)
    expect(main.locator("[data-outcome]")).to_contain_text("differs")
    assert stranger.complaints == []
    stranger.close()
