"""Every page fits a telephone, in light and dark, and keeps to itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import PHONE, Visitor
from tests.e2e.conftest import NewVisitor
from tests.services.kit import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(180)]

SIGNED_IN = [
    "/",
    "/patients/",
    "/patients/?q=nobody",
    "/patients/new/",
    "/studies/",
    "/studies/?status=failed",
    "/studies/?since=nonsense",
    "/worklist/",
    "/worklist/?status=failed&q=nobody",
    "/worklist/?since=nonsense",
    "/worklist/rule/",
    "/notifications/",
    "/models/",
    "/verify/",
    "/verify/?code=nonsense",
    "/users/",
    "/users/invite/",
    "/account/password/",
    "/account/second-factor/",
    "/account/second-factor/app/",
    "/account/confirm/",
    "/site/operating-points/",
    "/site/calibration/",
    "/site/diagnoses/",
    "/nothing/here/",
    "/studies/?before=nonsense",
]


@pytest.fixture(params=["light", "dark"])
def phone_admin(request: pytest.FixtureRequest, visitor: NewVisitor, stack: Stack) -> Visitor:
    person = visitor(viewport=PHONE, color_scheme=request.param)
    person.expected += ["/nothing/here/", "before=nonsense"]
    person.page.goto("/login/")
    assert person.sideways() <= 0
    person.sign_in(*stack.login("admin"))
    return person


def test_no_page_has_to_be_scrolled_sideways_on_a_telephone(
    phone_admin: Visitor, files: dict[str, Path]
) -> None:
    person, page = phone_admin, phone_admin.page
    number = person.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches ? 1 : 2")
    record = person.register_patient(
        "Featherstonehaugh-Cholmondeley-Wolfeschlegelstein",
        "Bartholomew",
        f"PHONE-WITH-A-LONG-NUMBER-{number}-0123456789012345",
        "1950-01-01",
    )
    wide = {"/patients/<id>/": person.sideways()}
    for path in [*SIGNED_IN, "/api/v1/docs/", f"{record}edit/", f"{record}upload/"]:
        page.goto(path)
        wide[path] = person.sideways()
    page.get_by_label("Choose X-ray files").set_input_files(
        {
            "name": "a-very-long-file-name-without-a-break-" + "x" * 60 + ".png",
            "mimeType": "image/png",
            "buffer": files["first.png"].read_bytes(),
        }
    )
    expect(page.locator(".upload-item .chip")).to_contain_text("%")
    wide["upload, sent"] = person.sideways()
    page.get_by_role("link", name="Open study").click()
    expect(page.locator(".bars meter")).to_have_count(3)
    wide["/studies/<id>/"] = person.sideways()
    page.locator(".small-facts a").click()
    expect(page.locator("svg.figure").first).to_be_visible()
    wide["/models/<id>/"] = person.sideways()
    page.goto(record)
    wide["case record with a study"] = person.sideways()
    page.goto(f"{record}compare/")
    wide["comparison"] = person.sideways()
    page.locator(".user-menu summary").click()
    wide["open menu"] = person.sideways()
    assert {path: pixels for path, pixels in wide.items() if pixels > 0} == {}


def test_every_control_has_a_name_and_every_page_one_heading(admin: Visitor) -> None:
    admin.expected += ["/nothing/here/", "before=nonsense"]
    for path in SIGNED_IN:
        admin.page.goto(path)
        assert admin.page.locator("h1").count() == 1, path
        nameless = admin.page.evaluate(
            """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
                .filter((one) => !one.labels.length && !one.ariaLabel)
                .map((one) => one.outerHTML)"""
        )
        assert nameless == [], path


def test_the_api_page_asks_no_other_machine(admin: Visitor) -> None:
    admin.page.goto("/api/v1/docs/")
    expect(admin.page.locator(".swagger-ui .info")).to_be_visible()


def test_the_watch_notices_other_machines_and_errors(visitor: NewVisitor) -> None:
    person = visitor()
    person.page.goto("/login/")
    assert person.complaints == []
    person.page.evaluate("new Image().src = 'http://elsewhere.invalid/pixel.png'")
    person.page.evaluate("document.body.setAttribute('style', 'color: red')")
    person.page.evaluate("setTimeout(() => { throw new Error('oh') })")
    person.page.wait_for_timeout(500)
    text = "\n".join(person.complaints)
    assert "elsewhere.invalid" in text
    assert "inline style" in text
    assert "oh" in text
    person.complaints.clear()
