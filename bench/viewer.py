"""How quickly a 12-megapixel X-ray opens in the viewer: ``python -m bench.viewer [--openings 20]``.

Starts a portal of its own and a real Chromium, sends one drawn film of 3,000 x 4,000 pixels as
16-bit DICOM, uncompressed and as JPEG 2000, and opens its viewer again and again. Measured from the
click to the first picture on the screen (the 8-bit rendition) and to the true grey values. The
browser keeps the script between openings as it does for people, and never the pixels. Prints one
line a file and writes nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import FilePayload

from ml.phantom import phantom_dicom
from ml.phantom.files import Syntax
from tests.e2e.browser import Visitor, chromium
from tests.services.kit import running_stack

WIDTH, HEIGHT = 3000, 4000
PAINTED = """() => new Promise((done) => {
    const image = document.querySelector('[data-pane=current] [data-placeholder]');
    const shown = () => requestAnimationFrame(() => setTimeout(() => done(performance.now())));
    if (image.complete && image.naturalWidth) image.decode().then(shown, shown);
    else image.addEventListener('load', () => image.decode().then(shown, shown), { once: true });
})"""
TRUE_VALUES = """() => new Promise((done) => {
    const wait = () => {
        const mark = performance.getEntriesByType('mark').find((one) => /^values:/.test(one.name));
        if (mark) requestAnimationFrame(() => setTimeout(() => done(mark.startTime)));
        else setTimeout(wait, 5);
    };
    wait();
})"""


def open_once(page: Any, address: str) -> tuple[float, float]:
    """Milliseconds from the navigation's start to the first picture and to the true values."""
    page.goto(address, wait_until="commit")
    page.wait_for_selector("[data-pane=current] [data-placeholder]", state="attached")
    first = float(page.evaluate(PAINTED))
    return first, float(page.evaluate(TRUE_VALUES))


def spread(values: list[float]) -> str:
    ordered = sorted(values)
    return (
        f"p50 {statistics.median(ordered):5.0f} ms, "
        f"p95 {ordered[max(0, round(0.95 * len(ordered)) - 1)]:5.0f} ms"
    )


def send(person: Visitor, patient: str, name: str, film: bytes) -> str:
    """Send one file; return the address of its viewer once the model has answered."""
    page = person.page
    page.goto(f"{patient}upload/")
    page.get_by_label("Choose X-ray files").set_input_files(
        [FilePayload(name=name, mimeType="application/dicom", buffer=film)]
    )
    page.locator(".upload-item .chip:not(.chip-open)").wait_for(timeout=180_000)
    page.get_by_role("link", name="Open study").click()
    page.wait_for_url("**/studies/**")
    return f"{page.url}view/"


def measure(person: Visitor, openings: int) -> None:
    patient = person.register_patient("Phantom", "Number 8", "PHANTOM-0008", "1970-01-01", "O")
    syntaxes: tuple[Syntax, ...] = ("explicit", "jpeg2000")
    for syntax in syntaxes:
        film = phantom_dicom(8, size=(WIDTH, HEIGHT), bits=16, syntax=syntax)
        address = send(person, patient, f"{syntax}.dcm", film)
        at_first = open_once(person.page, address)
        times = [open_once(person.page, address) for _ in range(openings)]
        print(
            f"{syntax:<9} {len(film) / 1e6:4.1f} MB, {openings} openings: "
            f"first picture {spread([one[0] for one in times])}; "
            f"true greys {spread([one[1] for one in times])}; "
            f"very first opening {at_first[0]:.0f} and {at_first[1]:.0f} ms",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--openings", type=int, default=20)
    openings = parser.parse_args().openings
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder) / "var") as stack,
        chromium() as browser,
    ):
        person = Visitor(browser, stack.base)
        person.sign_in(*stack.login("clinician"))
        measure(person, openings)
        person.close()


if __name__ == "__main__":
    main()
