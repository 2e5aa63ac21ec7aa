"""A whole working day at a site that reads blind first, from the worklist to the second look.

One long story on purpose: each room has tests of its own, this one goes through the doors between
them as people do, and asks nothing that a person at the screen would not notice.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect
from pypdf import PdfReader

from ml.phantom import phantom_dicom, phantom_png
from tests.e2e.browser import Visitor
from tests.e2e.conftest import NewVisitor
from tests.e2e.test_admin import PASSWORD, accept, invite
from tests.e2e.test_viewer import drag, on_screen, place

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(600)]

LONG_MS = 60_000
"""For what another process has to do first: an analysis, a list that renews itself."""
SHARE = re.compile(r"\d+%")
FIRST, SECOND = "Phantom, Number 88", "Workday, Wilma"
FILM = phantom_dicom(88, "normal", size=(688, 860))
"""860 rows of a film 430 mm high: half a millimetre a pixel."""


@dataclass
class Day:
    """Who is at work today, and where they have got to."""

    admin: Visitor
    sender: Visitor
    reader: Visitor
    stranger: Visitor
    downloads: Path
    study: str = ""
    length: float = 0.0
    old_code: str = ""

    @property
    def page(self) -> Page:
        """The reader's."""
        return self.reader.page


@pytest.fixture
def day(admin: Visitor, clinician: Visitor, visitor: NewVisitor, tmp_path: Path) -> Iterator[Day]:
    """A site that reads blind first for the length of one test, and a colleague just invited."""
    admin.page.goto("/site/")
    admin.page.get_by_role("link", name="Blind-first reading").click()
    admin.page.get_by_role("button", name="Switch on").click()
    expect(admin.page.get_by_text("Blind-first reading is on.")).to_be_visible()
    sender = visitor()
    accept(sender, invite(admin, "vera@example.org"), "vera", "Vera", "Vance")
    if "/login/" in sender.page.url:
        sender.sign_in("vera", PASSWORD)
    yield Day(admin, sender, clinician, visitor(), tmp_path)
    admin.page.goto("/site/reading/")
    admin.page.get_by_role("button", name="Switch off").click()
    expect(admin.page.get_by_text("Blind-first reading is off.")).to_be_visible()


def test_a_whole_working_day(day: Day) -> None:
    two_studies_arrive(day)
    the_first_is_claimed_by_keyboard(day)
    the_colleague_sees_whose_it_is(day)
    nothing_tells_the_answer(day)
    the_film_is_windowed_and_measured(day)
    the_impression_is_recorded_blind(day)
    the_answer_is_overridden_with_a_reason_and_signed(day)
    the_next_study_follows(day)
    the_report_is_issued_and_says_what_was_signed(day)
    anybody_may_check_it_and_learns_nothing_of_the_patient(day)
    an_addendum_makes_a_new_report_and_outdates_the_old_one(day)
    the_colleague_looks_a_second_time(day)


def two_studies_arrive(day: Day) -> None:
    films = {
        ("Phantom", "Number 88", "PHANTOM-0088"): ("chest.dcm", FILM),
        ("Workday", "Wilma", "E2E-DAY-2"): ("chest.png", phantom_png(89, size=(640, 640))),
    }
    page = day.sender.page
    for (family, given, mrn), (name, content) in films.items():
        record = day.sender.register_patient(family, given, mrn, "1970-01-01", "O")
        page.get_by_role("link", name="Send X-rays").first.click()
        page.get_by_label("Choose X-ray files").set_input_files(
            FilePayload(name=name, mimeType="application/octet-stream", buffer=content)
        )
        row = page.locator(".upload-item")
        # Done, and not a word about what came out.
        expect(row).to_contain_text("Read first", timeout=LONG_MS)
        expect(row).not_to_contain_text(SHARE)
        page.goto(record)
        expect(page.locator("#main")).not_to_contain_text(SHARE)


def the_first_is_claimed_by_keyboard(day: Day) -> None:
    page = day.page
    page.goto("/")
    page.get_by_role("link", name="Worklist", exact=True).click()
    # The keys work from the moment on at which the page offers their list.
    expect(page.get_by_role("button", name="Keyboard")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("PHANTOM-0088")
    page.keyboard.press("Enter")
    rows = page.locator("[data-entry]")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("MRN PHANTOM-0088")
    expect(rows).not_to_contain_text(re.compile("flag", re.IGNORECASE))
    # The colleague has the same list open.
    day.sender.page.goto(urlsplit(page.url)._replace(scheme="", netloc="").geturl())
    day.sender.page.evaluate("window.sameDocument = true")

    page.keyboard.press("j")
    expect(page.get_by_role("link", name=FIRST)).to_be_focused()
    page.keyboard.press("c")
    expect(rows).to_contain_text("You are reading")
    expect(page.get_by_role("link", name=FIRST)).to_be_focused()


def the_colleague_sees_whose_it_is(day: Day) -> None:
    page = day.sender.page
    row = page.locator("[data-entry]")
    expect(row).to_contain_text("clinician is reading", timeout=LONG_MS)
    expect(row.get_by_role("button")).to_have_count(0)
    assert page.evaluate("window.sameDocument") is True, "the list renewed itself"
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    bar = page.locator("#claim-bar")
    expect(bar).to_contain_text("clinician is reading this study")
    expect(bar.get_by_role("button", name="I’m reading this")).to_have_count(0)


def nothing_tells_the_answer(day: Day) -> None:
    page = day.page
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(FIRST)
    day.study = page.url.removeprefix(day.reader.base).split("#")[0]
    expect(page.locator("#claim-bar")).to_contain_text("You are reading this study.")
    expect(page.locator("#reading")).to_contain_text("Your site reads blind first")
    expect(page.locator("#main")).not_to_contain_text(SHARE)
    expect(page.locator("meter")).to_have_count(0)
    expect(page.locator("[data-heatmap] image")).to_have_count(0)
    told = [page.content()]
    for address in (f"{day.study}state/?seen=nothing", f"/api/v1{day.study}"):
        answer = page.request.get(f"{day.reader.base}{address}")
        assert answer.ok, address
        told.append(answer.text())
    for text in told:
        # not the fraction of a second in a time
        found = re.search(r".{0,60}(?<!\d)0\.\d{3,}.{0,20}", text)
        assert found is None, f"a probability: {found and found.group()}"
        assert "/heatmap/" not in text
        assert not re.search(r"finding-(covid|pneumonia|normal)", text)


def the_film_is_windowed_and_measured(day: Day) -> None:
    page = day.page
    page.keyboard.press("v")
    pane = page.locator("[data-pane=current]")
    expect(pane).to_have_attribute("data-state", "ready", timeout=LONG_MS)
    expect(page.get_by_role("button", name="Heatmap")).to_be_disabled()
    expect(page.get_by_text("hidden until you have recorded your first impression")).to_be_visible()

    points = [(172.0 * i, 215.0 * j) for i in (1, 2, 3) for j in (1, 2, 3)]
    readout = pane.locator("[data-readout]")
    before, words = on_screen(page, points), readout.text_content() or ""
    page.keyboard.press("w")
    middle = place(page, 344, 430)
    drag(page, middle, (middle[0] + 80, middle[1] + 50))
    expect(readout).not_to_have_text(words)
    assert on_screen(page, points) != before, "the picture looks different"

    page.keyboard.press("l")
    drag(page, place(page, 100, 200), place(page, 400, 600))
    text = pane.locator(".svg-layer text")
    expect(text).to_contain_text("mm")
    day.length = float((text.text_content() or "").split(" mm")[0])
    assert day.length == pytest.approx(math.hypot(150, 200), abs=1.0)
    expect(page.get_by_role("status")).to_have_text("The measurements are saved.")


def assert_measured(where: Locator, day: Day) -> None:
    """The length stands there, to the rounding of where the mouse was."""
    expect(where).to_contain_text("mm at the detector")
    found = re.search(r"Length (\d+\.\d) mm", where.text_content() or "")
    assert found
    assert float(found[1]) == pytest.approx(day.length, abs=0.11)


def the_impression_is_recorded_blind(day: Day) -> None:
    page = day.page
    page.get_by_role("link", name="Reading", exact=True).click()
    panel = page.locator("#reading")
    expect(panel).to_be_in_viewport()
    # What was measured stands with the reading it belongs to.
    assert_measured(panel.locator("[data-measured]"), day)
    page.keyboard.press("4")
    expect(page.get_by_role("radio", name="Other finding")).to_be_checked()
    page.get_by_label("Text").fill("Elevated hemidiaphragm on the right.")
    expect(page.locator("#draft-status")).to_contain_text("Draft saved")
    expect(page.locator("#main")).not_to_contain_text(SHARE)
    page.get_by_role("button", name="Record and show the AI’s answer").click()


def the_answer_is_overridden_with_a_reason_and_signed(day: Day) -> None:
    page = day.page
    expect(page.locator(".bars meter")).to_have_count(3)
    expect(page.locator("[data-heatmap] image")).to_have_count(1)
    panel = page.locator("#reading")
    # Whoever was at the panel is at the panel, though the answer has pushed it down.
    expect(panel.get_by_role("heading", name="Reading", exact=True)).to_be_focused()
    expect(panel.get_by_role("heading", name="Reading", exact=True)).to_be_in_viewport()
    expect(panel).to_contain_text("First impression, before the AI’s answer was shown")
    answer = panel.locator("#reading-answer")
    expect(answer).to_contain_text(re.compile("The AI’s answer: (COVID-19|Pneumonia|Normal)"))
    expect(page.get_by_role("radio", name="Other finding")).to_be_checked()
    expect(page.get_by_label("Text")).to_have_value("Elevated hemidiaphragm on the right.")
    expect(page.get_by_label("My reading overrides it")).to_be_checked()
    page.get_by_label("Why?").fill("The diaphragm, which the model does not know.")
    page.get_by_role("button", name="Sign", exact=True).click()

    signed = page.locator("[data-signed]")
    expect(signed).to_contain_text("Other finding")
    expect(signed).to_contain_text("Signed by clinician")
    expect(signed).to_contain_text("Elevated hemidiaphragm on the right.")
    expect(signed).to_contain_text("The diaphragm, which the model does not know.")
    assert_measured(signed.locator("[data-measured]"), day)
    expect(page.locator("#reading-form")).to_have_count(0)
    expect(page.locator("#claim-bar")).to_contain_text("off the worklist")


def the_next_study_follows(day: Day) -> None:
    page = day.page
    page.goto("/worklist/?q=PHANTOM-0088")
    expect(page.get_by_text("No unread study fits.")).to_be_visible()
    page.goto(day.study)
    page.locator("[data-next-study]").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(SECOND)
    expect(page.locator("#claim-bar")).to_contain_text("You are reading this study.")


def the_report_is_issued_and_says_what_was_signed(day: Day) -> None:
    page = day.page
    page.goto(day.study)
    page.locator("#reading").get_by_role("link", name="Report").click()
    page.get_by_role("button", name="Issue the report").click()
    expect(page.locator(".report-row")).to_contain_text("Genuine and current")
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF of version 1").click()
    pdf = day.downloads / "report.pdf"
    download.value.save_as(pdf)
    pages = PdfReader(io.BytesIO(pdf.read_bytes()), strict=True).pages
    text = " ".join(" ".join(one.extract_text() for one in pages).split())
    for part in (
        FIRST,
        "PHANTOM-0088",
        "Other finding",
        "Elevated hemidiaphragm on the right.",
        "Overrides the AI. Reason: The diaphragm, which the model does not know.",
        "Signed by clinician",
        "Measured in chest.dcm: Length",
        "mm at the detector",
        "Decision support, not a diagnosis.",
    ):
        assert part in text, part
    pictures = [one.image for page_of_it in pages for one in page_of_it.images]
    assert len(pictures) == 2
    assert all(one is not None and min(one.size) >= 256 for one in pictures)


def anybody_may_check_it_and_learns_nothing_of_the_patient(day: Day) -> None:
    address = day.page.get_by_role("link", name="Public page").get_attribute("href") or ""
    day.old_code = address
    page = day.stranger.page
    page.goto(address)
    expect(page.locator("main")).to_contain_text("Genuine and current")
    shown = page.title() + page.locator("main").inner_html()
    for secret in ("Phantom", "PHANTOM-0088", "Other finding", "clinician", "diaphragm"):
        assert secret not in shown, secret
    page.locator("#file").set_input_files(day.downloads / "report.pdf")
    expect(page.locator("[data-outcome]")).to_contain_text("the one that was issued")


def an_addendum_makes_a_new_report_and_outdates_the_old_one(day: Day) -> None:
    page = day.page
    page.goto(day.study)
    page.get_by_text("Add an addendum").click()
    page.get_by_label("What is to be added?").fill("Known since 2019.")
    page.get_by_role("button", name="Sign the addendum").click()
    expect(page.locator(".addendum")).to_contain_text("Known since 2019.")
    expect(page.locator(".addendum")).to_contain_text("signed by clinician")

    page.locator("#reading").get_by_role("link", name="Report").click()
    expect(page.locator(".report-row")).to_contain_text("Something was signed since")
    page.get_by_role("button", name="Issue a new version").click()
    rows = page.locator(".report-row")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="Version 2")).to_contain_text("Genuine and current")
    expect(rows.filter(has_text="Version 1")).to_contain_text("Superseded")
    day.stranger.page.goto(day.old_code)
    expect(day.stranger.page.locator("main")).to_contain_text("Superseded by a later version")
    expect(day.stranger.page.locator("main")).not_to_contain_text("Genuine and current")


def the_colleague_looks_a_second_time(day: Day) -> None:
    page = day.sender.page
    page.get_by_role("link", name="Worklist", exact=True).click()
    page.locator("#main").get_by_role("link", name="Second looks").click()
    row = page.locator(".look-row").filter(has_text="PHANTOM-0088")
    expect(row).to_contain_text("Reading: Other finding")
    expect(row).to_contain_text(re.compile("AI: (COVID-19|Pneumonia|Normal)"))
    row.get_by_role("link").click()
    expect(page).to_have_url(re.compile(re.escape(day.study)))
    page.get_by_label("Agrees with the reading").check()
    page.get_by_label("What do you see?").fill("The diaphragm, I see it too.")
    page.get_by_role("button", name="Record the second look").click()
    expect(page.get_by_text("Your second look is recorded.")).to_be_visible()
    expect(row).to_have_count(0)
    page.get_by_role("link", name="Looked at").click()
    expect(row).to_contain_text("Vera Vance: The diaphragm, I see it too.")
    day.page.goto(day.study)
    expect(day.page.locator("#second-look")).to_contain_text("Second look by Vera Vance")
    expect(day.page.locator("#second-look")).to_contain_text("The diaphragm, I see it too.")
