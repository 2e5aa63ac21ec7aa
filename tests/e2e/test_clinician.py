"""The working day of a clinician, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import Visitor
from tests.e2e.conftest import NewVisitor
from tests.services.kit import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(240)]

RESULT = re.compile(r"(COVID-19|Pneumonia|Normal)\s+(> |< )?\d+%")


def slow_down(page: Page, kilobytes_per_second: int) -> None:
    """Make sending take a while, so that progress can be watched."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": kilobytes_per_second * 1024,
        },
    )


def open_upload(person: Visitor, family_name: str, mrn: str) -> str:
    record = person.register_patient(family_name, "Ada", mrn, "1961-04-05")
    person.page.get_by_role("link", name="Send X-rays").first.click()
    expect(person.page.get_by_role("heading", name="Send X-rays")).to_be_visible()
    return record


def test_from_signing_in_to_the_heatmap_and_out_again(
    clinician: Visitor, files: dict[str, Path]
) -> None:
    page = clinician.page
    clinician.expected.append("/uploads/")
    record = open_upload(clinician, "Wren", "E2E-1")
    page.evaluate("window.sameDocument = true")
    slow_down(page, 700)
    page.evaluate(
        """() => {
            window.progressSeen = {};
            setInterval(() => document.querySelectorAll('.upload-item').forEach((row) => {
                const name = row.querySelector('[data-name]').textContent;
                (window.progressSeen[name] ??= []).push(row.querySelector('progress').value);
            }), 15);
        }"""
    )
    page.get_by_label("Choose X-ray files").set_input_files(
        [files["third.png"], files["broken.png"], files["second.dcm"]]
    )

    rows = page.locator(".upload-item")
    expect(rows).to_have_count(3)
    large, broken, dicom = (rows.nth(number) for number in range(3))
    expect(broken).to_contain_text("Refused")
    expect(broken.locator("[data-reason]")).to_contain_text(re.compile(r"\w+.*\. corrupt_image"))
    expect(large).to_contain_text("Accepted")
    expect(dicom).to_contain_text("Accepted")
    # The results come by themselves, into the very page that sent the files.
    expect(large).to_contain_text(RESULT)
    expect(dicom).to_contain_text(RESULT)
    assert page.evaluate("window.sameDocument") is True
    steps = page.evaluate("window.progressSeen['third.png']")
    assert steps == sorted(steps), "progress never runs backwards"
    assert any(0 < step < 100 for step in steps), "the bar was seen on its way"
    expect(page.locator("#upload-summary")).to_have_text("2 accepted, 1 refused")

    page.get_by_role("link", name="Open study").click()
    readings = page.locator("[data-reading]")
    expect(readings).to_have_count(2)
    first = readings.first
    expect(first.locator(".finding-label")).to_have_text(
        re.compile(r"\s*(COVID-19|Pneumonia|Normal)\s*")
    )
    expect(first.locator(".bars meter")).to_have_count(3)
    shares = [float(str(m.get_attribute("value"))) for m in first.locator(".bars meter").all()]
    assert sum(shares) == pytest.approx(1, abs=0.001)
    expect(first).to_contain_text("Decision support, not a diagnosis")

    heat = first.locator("[data-heatmap]")
    expect(heat.locator("image")).to_have_count(1)
    address = heat.locator("image").get_attribute("href")
    answer = page.request.get(f"{clinician.base}{address}")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    slider = first.get_by_label("Opacity")
    expect(slider).to_be_visible()
    slider.fill("80")
    expect(first.locator("output")).to_have_text("80%")
    assert opacity_of(heat) == "0.8"
    slider.press("Home")
    assert opacity_of(heat) == "0"
    first.get_by_label("Heatmap").uncheck()
    expect(heat).to_be_hidden()
    first.get_by_label("Heatmap").check()

    page.goto(record)
    expect(page.locator(".study-row")).to_have_count(1)
    expect(page.locator(".study-row .chip")).to_have_count(2)
    page.goto("/studies/")
    expect(page.locator(".study-row").first).to_contain_text("Wren, Ada")

    clinician.sign_out()
    page.goto(record)
    expect(page).to_have_url(re.compile(r"/login/\?next="))
    expect(page.locator("body")).not_to_contain_text("Wren")


def opacity_of(heat: object) -> str:
    return str(heat.evaluate("(layer) => getComputedStyle(layer).opacity"))  # type: ignore[attr-defined]


def test_an_open_page_shows_the_result_when_it_comes(
    clinician: Visitor, stack: Stack, files: dict[str, Path]
) -> None:
    page = clinician.page
    record = open_upload(clinician, "Heron", "E2E-2")
    workers = [one for one in stack.processes() if "worker" in " ".join(one.cmdline())]
    assert workers
    for worker in workers:
        worker.suspend()
    try:
        page.get_by_label("Choose X-ray files").set_input_files(files["first.png"])
        page.get_by_role("link", name="Open study").click()
        finding = page.locator(".finding")
        expect(finding).to_contain_text(re.compile("Waiting its turn|Analysing"))
        expect(page.locator("meter")).to_have_count(0)
        page.evaluate("document.querySelector('.xray image').dataset.mark = 'kept'")
        lists = [clinician.context.new_page() for _ in range(3)]
        for tab, address in zip(lists, ("/", "/studies/", record), strict=True):
            tab.goto(address)
            expect(tab.locator(".study-row .chip-open").first).to_be_visible()
            tab.evaluate("window.sameDocument = true")
    finally:
        for worker in workers:
            worker.resume()
    expect(page.locator(".bars meter")).to_have_count(3)
    expect(page.locator("[data-heatmap] image")).to_have_count(1)
    expect(page.get_by_label("Opacity")).to_be_visible()
    expect(page.locator(".xray image[data-mark=kept]")).to_have_count(1)
    expect(page.locator("#announcer")).to_contain_text(re.compile(r"first\.png: \S+.*\d+%"))
    for tab in lists:
        expect(tab.locator(".study-row").first).to_contain_text(RESULT)
        expect(tab.locator(".study-row .chip-open")).to_have_count(0)
        assert tab.evaluate("window.sameDocument") is True
        tab.close()
    # Nothing more is asked once everything is known.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2000)
    assert asked == []


def test_the_whole_upload_by_keyboard(clinician: Visitor, files: dict[str, Path]) -> None:
    page = clinician.page
    # Listening from the start: the browser is told to hand choosers over once somebody listens.
    page.on("filechooser", lambda chooser: chooser.set_files(files["first.png"]))
    open_upload(clinician, "Plover", "E2E-3")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "images":
            break
    expect(page.get_by_label("Choose X-ray files")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".upload-item")).to_contain_text(RESULT)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Open study")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".bars meter")).to_have_count(3)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "range":
            break
    before = page.locator("output").text_content()
    page.keyboard.press("ArrowRight")
    assert page.locator("output").text_content() != before


def test_what_the_quality_check_refuses_says_so_everywhere(
    clinician: Visitor, files: dict[str, Path]
) -> None:
    page = clinician.page
    open_upload(clinician, "Dunlin", "E2E-13")
    page.get_by_label("Choose X-ray files").set_input_files([files["black.png"]])
    row = page.locator(".upload-item")
    expect(row.locator(".chip")).to_contain_text("Refused")
    expect(row.locator("[data-reason]")).to_contain_text(re.compile(r"\w+.*\. \w+_\w+"))
    page.get_by_role("link", name="Open study").click()
    expect(page.locator(".finding")).to_contain_text("Not analysed")
    expect(page.locator("meter")).to_have_count(0)
    page.get_by_role("link", name="Send another image").click()
    expect(page.get_by_role("heading", name="Send X-rays")).to_be_visible()
    page.goto("/")
    expect(page.locator("section", has_text="Needs a look")).to_contain_text("Dunlin, Ada")


def test_dropped_files_are_taken(clinician: Visitor, files: dict[str, Path]) -> None:
    page = clinician.page
    open_upload(clinician, "Dipper", "E2E-4")
    page.evaluate(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], 'dropped.png'));
            const zone = document.getElementById('upload-form');
            for (const kind of ['dragenter', 'dragover', 'drop']) {
                zone.dispatchEvent(new DragEvent(kind, {
                    dataTransfer: transfer, bubbles: true, cancelable: true }));
            }
        }""",
        list(files["first.png"].read_bytes()),
    )
    expect(page.locator(".upload-item")).to_contain_text("dropped.png")
    expect(page.locator(".upload-item")).to_contain_text(RESULT)


def test_a_lost_connection_is_told_for_each_file_and_can_be_retried(
    clinician: Visitor, files: dict[str, Path]
) -> None:
    page = clinician.page
    clinician.expected.append("/uploads/")
    open_upload(clinician, "Stint", "E2E-5")
    clinician.context.set_offline(True)
    page.get_by_label("Choose X-ray files").set_input_files([files["first.png"]])
    row = page.locator(".upload-item")
    expect(row).to_contain_text("The connection to the portal broke")
    clinician.context.set_offline(False)
    row.get_by_role("button", name="Try again").click()
    expect(row).to_contain_text(RESULT)


def test_an_ended_session_is_told_and_sending_goes_on_after_signing_in_again(
    clinician: Visitor, stack: Stack, files: dict[str, Path]
) -> None:
    page = clinician.page
    clinician.expected += ["/uploads/", "/account/session/"]
    open_upload(clinician, "Knot", "E2E-6")
    clinician.context.clear_cookies()
    page.get_by_label("Choose X-ray files").set_input_files([files["first.png"]])
    row = page.locator(".upload-item")
    expect(row).to_contain_text("You have been signed out.")
    row.get_by_role("button", name="Try again").click()
    expect(row).to_contain_text("You are still signed out.")
    other_tab = clinician.context.new_page()
    username, password = stack.login("clinician")
    other_tab.goto("/login/")
    other_tab.get_by_label("User name").fill(username)
    other_tab.get_by_label("Password").fill(password)
    other_tab.get_by_role("button", name="Sign in").click()
    other_tab.wait_for_url(clinician.base + "/")
    row.get_by_role("button", name="Try again").click()
    expect(row).to_contain_text(RESULT)


def test_leaving_in_the_middle_of_sending_asks_first(
    clinician: Visitor, files: dict[str, Path]
) -> None:
    page = clinician.page
    open_upload(clinician, "Ruff", "E2E-7")
    slow_down(page, 100)
    page.get_by_label("Choose X-ray files").set_input_files([files["third.png"]])
    expect(page.locator(".upload-item")).to_contain_text("Sending")
    asked: list[str] = []

    def stay(dialog: object) -> None:
        asked.append(dialog.type)  # type: ignore[attr-defined]
        dialog.accept()  # type: ignore[attr-defined]

    page.on("dialog", stay)
    page.get_by_role("link", name="Home").click()
    page.wait_for_url(clinician.base + "/")
    assert asked == ["beforeunload"]


def test_everything_can_be_sent_and_read_without_scripts(
    visitor: NewVisitor, stack: Stack, files: dict[str, Path]
) -> None:
    person = visitor(java_script_enabled=False)
    person.sign_in(*stack.login("clinician"))
    page = person.page
    open_upload(person, "Snipe", "E2E-8")
    page.get_by_label("Choose X-ray files").set_input_files(
        [files["first.png"], files["broken.png"]]
    )
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("broken.png:")).to_be_visible()
    # Without a script the page loads itself again until the result is there.
    expect(page.locator(".bars meter")).to_have_count(3)
    page.goto("/studies/?status=done")
    expect(page.locator(".study-row").first).to_contain_text("Snipe, Ada")


def test_only_broken_files_leave_nothing_behind(
    visitor: NewVisitor, stack: Stack, files: dict[str, Path]
) -> None:
    person = visitor(java_script_enabled=False)
    person.expected.append("/upload/")
    person.sign_in(*stack.login("clinician"))
    record = open_upload(person, "Godwit", "E2E-9")
    person.page.get_by_label("Choose X-ray files").set_input_files([files["broken.png"]])
    person.page.get_by_role("button", name="Send").click()
    expect(person.page.get_by_text("Nothing was accepted.")).to_be_visible()
    person.page.goto(record)
    expect(person.page.get_by_text("No X-ray yet.")).to_be_visible()


def test_patients_are_found_while_typing_and_again_on_the_way_back(clinician: Visitor) -> None:
    page = clinician.page
    clinician.register_patient("Turnstone", "Tess", "E2E-10", "1970-02-03")
    clinician.register_patient("Whimbrel", "Will", "E2E-11", "1971-02-03")
    page.goto("/")
    page.get_by_label("Name or MRN").fill("turn")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Turnstone, Tess")).to_be_visible()
    expect(page.get_by_role("link", name="Whimbrel, Will")).to_have_count(0)
    page.get_by_label("Search by name or MRN").press_sequentially("XXX")
    expect(page.get_by_text("Nobody is found.")).to_be_visible()
    page.get_by_label("Search by name or MRN").fill("e2e-11")
    page.get_by_role("link", name="Whimbrel, Will").click()
    expect(page.get_by_role("heading", name="Whimbrel, Will")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name="Whimbrel, Will")).to_be_visible()
    expect(page.get_by_role("link", name="Turnstone, Tess")).to_have_count(0)


def test_an_open_page_leads_to_signing_in_when_the_session_has_ended(
    clinician: Visitor, stack: Stack, files: dict[str, Path]
) -> None:
    page = clinician.page
    clinician.expected.append("/state/")
    open_upload(clinician, "Sanderling", "E2E-12")
    workers = [one for one in stack.processes() if "worker" in " ".join(one.cmdline())]
    for worker in workers:
        worker.suspend()
    try:
        page.get_by_label("Choose X-ray files").set_input_files(files["first.png"])
        page.get_by_role("link", name="Open study").click()
        expect(page.locator(".finding")).to_contain_text(re.compile("Waiting its turn|Analysing"))
        clinician.context.clear_cookies()
        expect(page).to_have_url(re.compile(r"/login/\?next=%2Fstudies%2F"))
        expect(page.locator("body")).not_to_contain_text("Sanderling")
    finally:
        for worker in workers:
            worker.resume()
