"""The viewer in a real browser: true greys on the screen, tools, measurements, overlays, priors."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from ml.phantom import encode_dicom, phantom_dicom, phantom_png
from tests.e2e import axe
from tests.e2e.browser import PHONE, Chromiums, Visitor, launch
from tests.e2e.conftest import NewVisitor
from tests.services.kit import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(300)]

BLOCK = 40
ACROSS, DOWN = 8, 6
"""A chart of squares, each of one grey: no interpolation reaches their middles."""
MARK = (5, 2)
"""The one square of the chart that is told from its neighbours wherever it turns up."""


def chart(bits: int, signed: bool) -> npt.NDArray[np.int32]:
    """Stored values from the lowest to the highest, in squares; the marked one is the highest."""
    top = 2**bits - 1
    greys = np.linspace(0, top * 0.9, ACROSS * DOWN).round().astype(np.int32).reshape(DOWN, ACROSS)
    greys[MARK[1], MARK[0]] = top
    stored = np.kron(greys, np.ones((BLOCK, BLOCK), dtype=np.int32))
    return stored - 2 ** (bits - 1) if signed else stored


GOLDEN: dict[str, dict[str, Any]] = {
    "m2-8.dcm": {"bits": 8, "window": (120, 140)},
    "m1-12.dcm": {"bits": 12, "photometric": "MONOCHROME1", "window": (1800, 2400)},
    "m2-12-rescale.dcm": {"bits": 12, "rescale": (2, -1000), "window": (2500, 5000)},
    "m1-12-signed.dcm": {
        "bits": 12,
        "signed": True,
        "photometric": "MONOCHROME1",
        "window": (-100, 3000),
    },
    "m2-16.dcm": {"bits": 16, "window": (30000, 50000)},
    "m2-16-fraction.dcm": {"bits": 16, "rescale": (0.125, 2.5), "window": (4000, 6000)},
}


def golden_file(options: dict[str, Any]) -> bytes:
    return encode_dicom(chart(options["bits"], options.get("signed", False)), seed=70, **options)


def by_pydicom(data: bytes) -> npt.NDArray[np.float64]:
    """Greys of 256 that pydicom computes for each pixel."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    bits, signed = int(dataset.BitsStored), bool(dataset.PixelRepresentation)
    slope = float(dataset.get("RescaleSlope", 1))
    intercept = float(dataset.get("RescaleIntercept", 0))
    low = (-(2 ** (bits - 1)) if signed else 0) * slope + intercept
    greys = (shown.astype(np.float64) - low) / ((2**bits - 1) * slope)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        greys = 1.0 - greys
    return np.asarray(greys * 255.0)


def send(person: Visitor, record: str, files: dict[str, bytes]) -> str:
    """Send a study; return the address of its page."""
    page = person.page
    page.goto(f"{record}upload/")
    page.get_by_label("Choose X-ray files").set_input_files(
        [
            FilePayload(name=name, mimeType="application/octet-stream", buffer=content)
            for name, content in files.items()
        ]
    )
    chips = page.locator(".upload-item .chip:not(.chip-open)")
    expect(chips).to_have_count(len(files), timeout=60_000)
    page.get_by_role("link", name="Open study").click()
    page.wait_for_url("**/studies/**")
    return page.url.removeprefix(person.base)


@dataclass(frozen=True)
class Studies:
    """Addresses of study pages."""

    golden: str
    phantom: str
    prior: str


@pytest.fixture(scope="module")
def studies(chromiums: Chromiums, stack: Stack) -> Studies:
    """Two people whom the drawn files name: one with charts, one with a chest and a prior."""
    person = Visitor(chromiums.current, stack.base)
    person.sign_in(*stack.login("clinician"))
    charts = person.register_patient("Phantom", "Number 70", "PHANTOM-0070", "1970-01-01", "O")
    golden = send(person, charts, {name: golden_file(one) for name, one in GOLDEN.items()})
    chest = person.register_patient("Phantom", "Number 16", "PHANTOM-0016", "1970-01-01", "O")
    prior = send(person, chest, {"prior.dcm": phantom_dicom(16, "normal", size=PRIOR, bits=12)})
    recent = {
        "chest.dcm": phantom_dicom(16, "normal", size=PHANTOM, photometric="MONOCHROME1"),
        "second.png": phantom_png(22, size=(640, 640)),
    }
    phantom = send(person, chest, recent)
    person.close()
    return Studies(golden, phantom, prior)


def open_viewer(page: Page, study: str, **wanted: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in wanted.items())
    page.goto(f"{study}view/?{query}")
    for pane in page.locator("[data-pane]").all():
        expect(pane).to_have_attribute("data-state", "ready")


def choose_image(page: Page, name: str) -> None:
    strip = page.get_by_role("navigation", name="Images of this study")
    strip.get_by_role("link", name=name).click()
    pane = page.locator("[data-pane=current]")
    expect(pane.locator("[data-title]")).to_have_text(name)
    expect(pane).to_have_attribute("data-state", "ready")


def on_screen(page: Page, points: list[tuple[float, float]], pane: str = "current") -> list[int]:
    """What the canvas shows at points given in pixels of the image."""
    greys: list[int] = page.evaluate(
        """async ([name, points]) => {
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            const pane = document.querySelector(`[data-pane=${name}]`);
            const canvas = pane.querySelector("canvas.cornerstone-canvas");
            const frame = pane.querySelector("[data-frame]");
            const matrix = frame.transform.baseVal.consolidate().matrix;
            const ratio = canvas.width / canvas.clientWidth;
            const paper = canvas.getContext("2d");
            return points.map(([x, y]) => {
                const at = new DOMPoint(x, y).matrixTransform(matrix);
                return paper.getImageData(at.x * ratio, at.y * ratio, 1, 1).data[0];
            });
        }""",
        [pane, points],
    )
    return greys


def middles() -> list[tuple[float, float]]:
    return [((i + 0.5) * BLOCK, (j + 0.5) * BLOCK) for j in range(DOWN) for i in range(ACROSS)]


PHANTOM, PRIOR = (688, 860), (600, 700)


def place(page: Page, x: float, y: float, pane: str = "current") -> tuple[float, float]:
    """Where on the page a pixel of the image is."""
    found = page.evaluate(
        """([name, x, y]) => {
            const pane = document.querySelector(`[data-pane=${name}]`);
            const frame = pane.querySelector("[data-frame]");
            const matrix = frame.transform.baseVal.consolidate().matrix;
            const box = pane.querySelector("[data-picture]").getBoundingClientRect();
            const at = new DOMPoint(x, y).matrixTransform(matrix);
            return [box.left + at.x, box.top + at.y];
        }""",
        [pane, x, y],
    )
    return found[0], found[1]


def middles_of_panes(page: Page) -> list[list[float]]:
    """How far the middle of each picture lies from the middle of its pane, at one moment."""
    found: list[list[float]] = page.evaluate(
        """(sizes) => Object.entries(sizes).map(([name, [columns, rows]]) => {
            const pane = document.querySelector(`[data-pane=${name}]`);
            const frame = pane.querySelector("[data-frame]");
            const { matrix } = frame.transform.baseVal.consolidate();
            const box = pane.querySelector("[data-picture]");
            const at = new DOMPoint(columns / 2, rows / 2).matrixTransform(matrix);
            return [at.x - box.clientWidth / 2, at.y - box.clientHeight / 2];
        })""",
        {"current": PHANTOM, "prior": PRIOR},
    )
    return found


def middles_together(page: Page, moved_from: list[float] | None = None) -> list[list[float]]:
    """The middles once they agree, or after five seconds: the panes are drawn one after the other,
    each in a frame of its own."""
    for _ in range(100):
        current, prior = middles_of_panes(page)
        moved = moved_from is None or current != pytest.approx(moved_from, abs=5)
        if moved and prior == pytest.approx(current, abs=0.5):
            break
        page.wait_for_timeout(50)
    return [current, prior]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def assert_golden(page: Page, study: str) -> None:
    open_viewer(page, study)
    for name, options in GOLDEN.items():
        choose_image(page, name)
        expected = by_pydicom(golden_file(options))
        seen = on_screen(page, middles())
        wanted = [expected[int(y), int(x)] for x, y in middles()]
        np.testing.assert_allclose(seen, wanted, atol=1.6, err_msg=name)


def test_the_screen_shows_the_greys_that_pydicom_computes(
    clinician: Visitor, studies: Studies
) -> None:
    assert_golden(clinician.page, studies.golden)
    expect(clinician.page.locator("#viewer")).to_have_attribute("data-renderer", "webgl")


def test_without_webgl_the_processor_draws_the_same_greys(
    browser: Browser, stack: Stack, studies: Studies
) -> None:
    assert browser.is_connected()
    # A browser of its own: WebGL is switched off for all of it.
    other = launch(browser.browser_type, "--disable-3d-apis")
    try:
        person = Visitor(other, stack.base)
        person.sign_in(*stack.login("clinician"))
        assert_golden(person.page, studies.golden)
        expect(person.page.locator("#viewer")).to_have_attribute("data-renderer", "cpu")
        person.page.get_by_role("button", name="Rotate right").click()
        person.page.get_by_role("button", name="Larger").click()
        middle = (MARK[0] + 0.5) * BLOCK, (MARK[1] + 0.5) * BLOCK
        assert on_screen(person.page, [middle])[0] >= 253, "overlays stay on the picture"
        assert person.complaints == []
    finally:
        other.close()


def test_windows_are_moved_chosen_inverted_and_reset(clinician: Visitor, studies: Studies) -> None:
    page = clinician.page
    open_viewer(page, studies.golden)
    choose_image(page, "m2-12-rescale.dcm")
    readout = page.locator("[data-pane=current] [data-readout]")
    expect(readout).to_contain_text("Width 5000 · level 2500")
    at_first = on_screen(page, middles())
    page.get_by_role("button", name="Window and level").click()
    drag(page, place(page, 160, 120), place(page, 190, 150))
    expect(readout).not_to_contain_text("Width 5000")
    moved = on_screen(page, middles())
    assert moved != at_first
    page.get_by_label("Window preset").select_option(label="2  Whole range")
    assert on_screen(page, middles()) not in (at_first, moved)
    page.get_by_role("button", name="Reset").click()
    expect(readout).to_contain_text("Width 5000 · level 2500")
    assert on_screen(page, middles()) == at_first
    invert = page.get_by_role("button", name="Invert")
    invert.click()
    expect(invert).to_have_attribute("aria-pressed", "true")
    np.testing.assert_allclose(on_screen(page, middles()), 255 - np.array(at_first), atol=1.6)
    invert.click()
    assert on_screen(page, middles()) == at_first


def test_overlays_stay_on_the_picture_however_it_is_turned(
    clinician: Visitor, studies: Studies
) -> None:
    page = clinician.page
    open_viewer(page, studies.golden)
    choose_image(page, "m2-8.dcm")
    marked = [((MARK[0] + 0.5) * BLOCK, (MARK[1] + 0.5) * BLOCK)]
    beside = [((MARK[0] - 0.5) * BLOCK, (MARK[1] + 0.5) * BLOCK)]
    places = {place(page, *marked[0])}
    for name in (
        "Rotate right",
        "Mirror left and right",
        "Larger",
        "Mirror top and bottom",
        "Rotate left",
        "Rotate left",
        "Smaller",
        "Mirror left and right",
    ):
        page.get_by_role("button", name=name).click()
        assert on_screen(page, marked)[0] >= 254, name
        assert on_screen(page, beside)[0] < 200, name
        places.add(place(page, *marked[0]))
    assert len(places) > 5, "it was turned indeed"
    page.mouse.move(*place(page, 160, 120))
    page.mouse.wheel(0, -300)
    expect(page.locator("[data-pane=current] [data-readout]")).not_to_contain_text("zoom 100%")
    assert on_screen(page, marked)[0] >= 254


def test_a_length_in_millimetres_is_right_and_comes_back(
    clinician: Visitor, studies: Studies
) -> None:
    page = clinician.page
    open_viewer(page, studies.phantom)
    choose_image(page, "chest.dcm")
    expect(page.get_by_text("Lengths hold at the detector.")).to_be_visible()
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Length")).to_have_attribute("aria-pressed", "true")
    # 860 rows of a film 430 mm high: half a millimetre a pixel.
    start, end = place(page, 100, 200), place(page, 400, 600)
    drag(page, start, end)
    words = page.locator("[data-pane=current] .svg-layer text")
    expect(words).to_contain_text("at the detector")
    shown = float((words.text_content() or "").split(" mm")[0])
    assert shown == pytest.approx(math.hypot(150, 200), abs=1.0)
    expect(page.get_by_role("status")).to_have_text("The measurements are saved.")

    page.get_by_role("button", name="Angle").click()
    corner = place(page, 300, 300)
    page.mouse.move(*place(page, 500, 300))
    page.mouse.down()
    page.mouse.move(*corner, steps=5)
    page.mouse.up()
    page.mouse.move(*place(page, 300, 500), steps=5)
    page.mouse.click(*place(page, 300, 500))
    page.get_by_role("button", name="List of measurements").click()
    entries = page.get_by_role("region", name="Measurements").get_by_role("listitem")
    expect(entries).to_have_count(2)
    expect(entries.nth(1)).to_contain_text("Angle 90.0°")
    length = entries.nth(0).text_content()
    page.wait_for_timeout(700)

    page.reload()
    expect(page.locator("[data-pane=current]")).to_have_attribute("data-state", "ready")
    choose_image(page, "chest.dcm")
    page.keyboard.press("n")
    expect(entries).to_have_count(2)
    expect(entries.nth(0)).to_have_text(length or "")
    angle = page.get_by_role("button", name="Angle", exact=True)
    expect(angle).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Remove: Angle 90.0°").click()
    expect(entries).to_have_count(1)
    expect(page.get_by_role("status")).to_have_text("The measurements are saved.")


def test_without_a_spacing_lengths_are_pixels_and_the_page_says_so(
    clinician: Visitor, studies: Studies
) -> None:
    page = clinician.page
    open_viewer(page, studies.phantom)
    choose_image(page, "second.png")
    expect(page.get_by_text("lengths are in pixels, not in mm")).to_be_visible()
    page.keyboard.press("l")
    drag(page, place(page, 100, 100), place(page, 100, 400))
    expect(page.locator("[data-pane=current] .svg-layer text")).to_contain_text("px")


def test_everything_works_without_a_mouse(clinician: Visitor, studies: Studies) -> None:
    page = clinician.page
    open_viewer(page, studies.prior)
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Help and shortcuts")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("l")
    page.locator("[data-pane=current] [data-picture]").focus()
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Length")
    page.keyboard.press("n")
    entries = page.get_by_role("region", name="Measurements").get_by_role("listitem")
    expect(entries).to_have_count(1)
    page.keyboard.press("w")
    readout = page.locator("[data-pane=current] [data-readout]")
    before = readout.text_content() or ""
    page.keyboard.press("ArrowRight")
    expect(readout).not_to_have_text(before)
    page.keyboard.press("p")
    was = place(page, 100, 100)
    page.keyboard.press("ArrowRight")
    assert place(page, 100, 100) != was
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('#viewer button, #viewer select, #viewer input')]
            .filter((one) => !one.ariaLabel && !one.labels?.length && !one.textContent.trim())
            .map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_the_heatmap_is_shown_faded_and_hidden_and_that_is_remembered(
    clinician: Visitor, studies: Studies
) -> None:
    page = clinician.page
    open_viewer(page, studies.prior)
    heat = page.locator("[data-pane=current] .heat")
    button = page.get_by_role("button", name="Heatmap")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(heat).to_have_attribute("visibility", "visible")
    page.get_by_label("Opacity of the heatmap").fill("75")
    expect(heat).to_have_attribute("opacity", "0.75")
    with page.expect_response("**/viewer/preferences/"):
        button.click()
    expect(heat).to_have_attribute("visibility", "hidden")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_viewer(page, studies.prior)
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_label("Opacity of the heatmap")).to_have_value("75")
    assert not any("/heatmap/" in address for address in asked), "not fetched while unwanted"
    with page.expect_response("**/viewer/preferences/"):
        button.click()
    expect(heat).to_have_attribute("visibility", "visible")


def test_a_prior_beside_zooms_and_moves_along(clinician: Visitor, studies: Studies) -> None:
    page = clinician.page
    open_viewer(page, studies.phantom)
    compare = page.get_by_label("Compare with a prior")
    with page.expect_navigation():
        compare.select_option(index=1)
    for pane in page.locator("[data-pane]").all():
        expect(pane).to_have_attribute("data-state", "ready")
    expect(page.locator("[data-pane]")).to_have_count(2)
    choose_image(page, "chest.dcm")  # which of the two came in first, chance decides
    readouts = page.locator("[data-readout]")
    page.mouse.move(*place(page, 344, 430))
    page.mouse.wheel(0, -400)
    expect(readouts.nth(0)).to_contain_text("zoom 223%")
    expect(readouts.nth(1)).to_contain_text("zoom 223%")
    page.get_by_role("button", name="Move", exact=True).click()
    before, _ = middles_of_panes(page)
    middle = place(page, 344, 430)
    drag(page, middle, (middle[0] + 60, middle[1] - 40))
    current, prior = middles_together(page, moved_from=before)
    moved = (current[0] - before[0], current[1] - before[1])
    # What else moves on the page may cost or add some pixels; what matters is that the other pane
    # does exactly the same.
    assert moved == pytest.approx((60, -40), abs=15)
    assert prior == pytest.approx(current, abs=0.5)
    # Also when the window changes while they are moved.
    page.set_viewport_size({"width": 1180, "height": 700})
    drag(page, (300, 400), (320, 380))
    current, prior = middles_together(page)
    assert prior == pytest.approx(current, abs=0.5)
    with page.expect_response(
        lambda answer: (
            answer.url.endswith("/viewer/preferences/") and "link" in answer.request.post_data_json
        )
    ) as saved:
        page.get_by_role("button", name="Zoom and move both together").click()
    # A page that was made before another one's change arrived does not take that back.
    assert "layout" not in saved.value.request.post_data_json
    page.mouse.move(*place(page, 344, 430))
    page.mouse.wheel(0, 200)
    expect(readouts.nth(0)).not_to_contain_text("zoom 223%")
    expect(readouts.nth(1)).to_contain_text("zoom 223%")
    # The layout and the broken link are remembered.
    open_viewer(page, studies.phantom)
    expect(page.locator("[data-pane]")).to_have_count(2)
    link = page.get_by_role("button", name="Zoom and move both together")
    expect(link).to_have_attribute("aria-pressed", "false")
    with page.expect_response("**/viewer/preferences/"):
        link.click()
    with page.expect_navigation():
        page.get_by_label("Compare with a prior").select_option(index=0)
    expect(page.locator("[data-pane]")).to_have_count(1)


def test_nobody_is_kept_out(clinician: Visitor, studies: Studies) -> None:
    """axe-core finds no barrier, in the widest state of the page and in the narrowest."""
    page = clinician.page
    open_viewer(page, studies.phantom)
    options = page.get_by_label("Compare with a prior").locator("option")
    open_viewer(page, studies.phantom, prior=options.nth(1).get_attribute("value") or "")
    page.keyboard.press("n")
    assert axe.barriers(page) == []
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert axe.barriers(page) == []
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    assert clinician.sideways() <= 0
    assert axe.barriers(page) == []


def test_a_study_of_many_images_loads_one(clinician: Visitor, studies: Studies) -> None:
    page = clinician.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_viewer(page, studies.golden)
    page.wait_for_timeout(500)
    assert sum("/pixels/" in address for address in asked) == 1
    assert sum("/display/" in address for address in asked) == 1
    assert sum("/original/" in address for address in asked) == 0


def test_fingers_work_on_a_telephone(visitor: NewVisitor, stack: Stack, studies: Studies) -> None:
    person = visitor(viewport=PHONE, has_touch=True, is_mobile=True)
    person.sign_in(*stack.login("clinician"))
    page = person.page
    open_viewer(page, studies.golden)
    assert person.sideways() <= 0
    picture = page.locator("[data-pane=current] [data-picture]").bounding_box()
    assert picture is not None
    assert picture["height"] > 300, "most of the screen is the picture's"
    page.get_by_role("button", name="Window and level").tap()
    at_first = on_screen(page, middles())
    middle = (picture["x"] + picture["width"] / 2, picture["y"] + picture["height"] / 2)
    touch(page, [[middle], [(middle[0] + 30, middle[1] + 10)], [(middle[0] + 60, middle[1] + 25)]])
    assert on_screen(page, middles()) != at_first
    touch(
        page, [[(middle[0] - d, middle[1]), (middle[0] + d, middle[1])] for d in (30, 45, 60, 80)]
    )
    expect(page.locator("[data-readout]")).not_to_contain_text("zoom 100%")


def touch(page: Page, steps: list[list[tuple[float, float]]]) -> None:
    """Put fingers down, move them from step to step, and lift them."""
    session = page.context.new_cdp_session(page)
    for number, fingers in enumerate(steps):
        session.send(
            "Input.dispatchTouchEvent",
            {
                "type": "touchStart" if number == 0 else "touchMove",
                "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(fingers)],
            },
        )
        page.wait_for_timeout(60)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(100)


def test_a_session_that_ended_keeps_nothing_and_says_so(
    clinician: Visitor, studies: Studies
) -> None:
    page = clinician.page
    clinician.expected += ["/measurements/", "/viewer/preferences/"]
    open_viewer(page, studies.golden)
    page.keyboard.press("l")
    page.context.clear_cookies()
    drag(page, place(page, 40, 40), place(page, 200, 40))
    expect(page.get_by_role("status")).to_contain_text("signed out")
