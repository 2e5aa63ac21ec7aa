"""Takes the screenshots of the README: ``python -m tests.e2e.screenshots [FOLDER]``.

Starts a portal of its own, registers fictional people, sends drawn phantoms (never a real
X-ray), and writes PNG files, 256 colours each to keep the repository small.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import pypdfium2
from PIL import Image as Picture
from playwright.sync_api import Browser, FilePayload, expect

from ml.phantom import Finding, phantom_dicom, phantom_png
from tests.e2e.browser import PHONE, Visitor, chromium
from tests.e2e.test_admin import PASSWORD, accept, invite
from tests.ml.dicoms import nameless
from tests.services.kit import ROOT, Stack, running_stack

WINDOW = {"width": 1280, "height": 880}
# Seed and finding of each drawing; None lets the seed choose.
PEOPLE: list[tuple[str, str, str, str, str, list[tuple[int, Finding | None]]]] = [
    ("Okafor", "Chidi", "FH-10277", "1984-07-19", "M", [(16, "normal"), (22, None)]),
    ("Marsh", "Eleanor", "FH-10314", "1968-11-30", "F", [(25, None)]),
    ("Novák", "Jana", "FH-10425", "1999-01-08", "F", [(7, None)]),
    ("Price", "Gwilym", "FH-10462", "1940-05-05", "M", [(23, "normal")]),
    ("Lindqvist", "Astrid", "FH-10240", "1951-02-03", "F", [(31, None)]),
]


def save(person: Visitor, target: Path, *, colours: int = 256) -> None:
    """Photograph the page, with fewer colours than a screen has."""
    person.page.mouse.move(0, 0)
    person.page.wait_for_timeout(400)
    keep(Picture.open(io.BytesIO(person.page.screenshot())), target, colours=colours)


def keep(shot: Picture.Image, target: Path, *, colours: int = 256) -> None:
    few = shot.convert("RGB").quantize(colours, kmeans=1, dither=Picture.Dither.NONE)
    few.save(target, "PNG", optimize=True)
    print(f"{target.name}: {target.stat().st_size // 1024} KB")


def visit(browser: Browser, stack: Stack, username: str, password: str, **options: Any) -> Visitor:
    options.setdefault("viewport", WINDOW)
    person = Visitor(browser, stack.base, **options)
    person.sign_in(username, password)
    return person


def welcome_colleague(browser: Browser, stack: Stack, admin: Visitor) -> None:
    """Let a clinician with a name come in, by an invitation as in real life."""
    guest = Visitor(browser, stack.base)
    accept(guest, invite(admin, "m.hale@example.org"), "mhale", "Morgan", "Hale")
    guest.close()


def send(person: Visitor, record: str, files: list[tuple[str, bytes]], results: int) -> None:
    """Send ``files`` from the case record and wait until ``results`` of them are read."""
    person.page.goto(f"{record}upload/")
    person.page.get_by_label("Choose X-ray files").set_input_files(
        [
            FilePayload(name=name, mimeType="application/octet-stream", buffer=content)
            for name, content in files
        ]
    )
    expect(person.page.locator(".upload-item .chip:not(.chip-open)")).to_have_count(results)


def take(stack: Stack, browser: Browser, folder: Path) -> None:
    admin = visit(browser, stack, *stack.login("admin"))
    welcome_colleague(browser, stack, admin)
    person = visit(browser, stack, "mhale", PASSWORD)
    records = {}
    for family, given, mrn, born, sex, drawings in PEOPLE:
        records[family] = person.register_patient(family, given, mrn, born, sex)
        for seed, finding in drawings:
            content = phantom_png(seed=seed, finding=finding)
            send(person, records[family], [(f"chest-pa-{seed}.png", content)], 1)
    person.page.goto("/")
    save(person, folder / "home.png")

    send(
        person,
        records["Okafor"],
        [
            ("IM-0001.dcm", nameless(phantom_dicom(seed=41, size=(1024, 1024)))),
            ("chest-pa.png", phantom_png(seed=43, size=(1024, 1024))),
            ("scan-of-report.pdf", b"%PDF-1.7 not a picture"),
        ],
        2,
    )
    save(person, folder / "upload.png")

    person.page.get_by_role("link", name="Open study").click()
    expect(person.page.locator("meter").first).to_be_visible()
    study = person.page.url
    save(person, folder / "result.png")
    person.page.goto(records["Okafor"])
    save(person, folder / "case-record.png")

    take_reading_room(person, records["Okafor"], study, folder)

    telephone: dict[str, Any] = {"viewport": PHONE, "device_scale_factor": 1.5}
    phone = visit(browser, stack, "mhale", PASSWORD, color_scheme="dark", **telephone)
    phone.page.goto(study)
    phone.page.evaluate("document.querySelector('.reading').scrollIntoView()")
    save(phone, folder / "result-phone.png")
    phone.close()
    phone = visit(browser, stack, "mhale", PASSWORD, **telephone)
    save(phone, folder / "home-phone.png")
    phone.close()

    admin.page.goto("/users/")
    save(admin, folder / "users.png")
    for one in (person, admin):
        one.close()


def take_reading_room(person: Visitor, record: str, study: str, folder: Path) -> None:
    """The worklist, the viewer, the comparison, and a report that was issued."""
    page = person.page
    page.goto("/worklist/")
    expect(page.locator("main .work-row").first).to_be_visible()
    save(person, folder / "worklist.png")

    page.goto(f"{study}view/")
    pane = page.locator("[data-pane=current]")
    expect(pane).to_have_attribute("data-state", "ready")
    heatmap = page.get_by_role("button", name="Heatmap", exact=True)
    if heatmap.get_attribute("aria-pressed") != "true":
        heatmap.click()
    expect(heatmap).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(1500)  # The overlay is faded in.
    save(person, folder / "viewer.png", colours=160)

    page.goto(record)
    page.get_by_role("link", name="Compare the newest two").click()
    expect(page.get_by_role("heading", name="What changed")).to_be_visible()
    save(person, folder / "comparison.png", colours=64)

    page.goto(study)
    answer = page.locator("#reading-answer").get_attribute("data-answer")
    page.locator(f"#reading input[name=impression][value={answer}]").check()
    page.locator("#reading textarea[name=text]").fill(
        "Drawn phantom: nobody's film, nothing to act on. No effusion, the heart not enlarged."
    )
    page.locator("#reading input[name=stance][value=agrees]").check()
    page.locator("#reading").get_by_role("button", name="Sign").click()
    expect(page.locator("#reading")).to_contain_text("Signed by")
    page.get_by_role("link", name="Reports").click()
    page.get_by_role("button", name="Issue the report").click()
    expect(page.locator(".report-row")).to_contain_text("Genuine and current")
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF of version 1").click()
    sheet = pypdfium2.PdfDocument(download.value.path())[0]
    keep(sheet.render(scale=1.25).to_pil(), folder / "report.png", colours=128)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        running_stack(Path(scratch) / "var") as stack,
        chromium() as browser,
    ):
        take(stack, browser, folder)


if __name__ == "__main__":
    main()
