"""An emergency, from the search at another site to the review there, in a real browser."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from screening.accounts.models import User
from screening.accounts.reauthentication import PROVED_AT
from screening.emergency.models import EmergencyAccess
from screening.patients.models import Patient
from tests.e2e.browser import Visitor
from tests.personas import *  # noqa: F403  (fixtures)
from tests.personas import PASSWORD, sign_in
from tests.record import rows

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(240)]

REASON = "Brought in unconscious; the earlier film decides about intubation."
At = Callable[[User], Visitor]


@pytest.fixture
def at(browser: Browser, live_server: LiveServer) -> Iterator[At]:
    """Somebody at a computer, signed in an hour ago."""
    base = live_server.url.replace("localhost", "127.0.0.1")  # The browser looks up no names.
    made: list[Visitor] = []

    def come(user: User) -> Visitor:
        client = Client()
        sign_in(client, user)
        session = client.session
        session[PROVED_AT] -= 3600
        session.save()
        visitor = Visitor(browser, base)
        cookie = client.cookies["sessionid"].value
        visitor.context.add_cookies([{"name": "sessionid", "value": cookie, "url": base}])
        made.append(visitor)
        return visitor

    yield come
    for one in made:
        one.close()
    complaints = [text for one in made for text in one.complaints]
    assert not complaints, "\n".join(complaints)


def picture(page: Page, name: str) -> None:
    """A picture for whoever wants to look, where ``SHOTS`` names a folder."""
    folder = os.environ.get("SHOTS")
    if not folder:
        return
    for width in (1280, 360):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 800})


def fill(page: Page, mrn: str) -> None:
    page.get_by_label("Site", exact=True).select_option(label="North Hospital")
    page.get_by_label("MRN").fill(mrn)
    page.get_by_label("Why you need it now").fill(REASON)
    page.get_by_role("button", name="Open the record").click()


def test_an_emergency_from_the_search_to_the_review(
    at: At,
    clinician_a: User,
    admin_a: User,
    clinician_b: User,
    admin_b: User,
    patient_a: Patient,
) -> None:
    image = rows.send_image(clinician_a, patient_a)
    rows.finish(image)
    bob = at(clinician_b)
    bob.expected += ["/emergency/", f"/patients/{patient_a.pk}/"]  # Answers of 404, on purpose.
    page = bob.page

    # Who it is has to be proved again; then nothing but an exact search finds anybody.
    page.goto("/")
    page.locator(".user-menu summary").click()
    page.get_by_role("link", name="Emergency access").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").first.click()
    expect(page.get_by_role("heading", name="Emergency access")).to_be_visible()
    picture(page, "open")
    fill(page, "N-10")
    expect(page.get_by_role("alert")).to_contain_text("No single record at North Hospital")

    fill(page, patient_a.mrn)
    banner = page.locator(".emergency-banner")
    expect(page.get_by_role("heading", name="Nordlund, Nina")).to_be_visible()
    expect(banner).to_contain_text("This record belongs to North Hospital")
    expect(page.get_by_role("link", name="Edit")).to_have_count(0)
    expect(page.get_by_role("link", name="Send X-rays")).to_have_count(0)
    picture(page, "record")
    page.locator(".study-row-link").first.click()
    expect(banner).to_be_visible()
    expect(page.locator("#claim-bar")).to_have_count(0)
    page.get_by_role("link", name="Open viewer").first.click()
    expect(banner).to_be_visible()
    picture(page, "viewer")

    # The administrator of the record's own site is told, and says what she thinks of it.
    adam = at(admin_a).page
    adam.goto("/notifications/")
    picture(adam, "notifications")
    adam.get_by_role("link", name="A record was opened in an emergency").click()
    waiting = adam.get_by_role("listitem").filter(has_text="Bob Barley")
    expect(waiting).to_contain_text(REASON)
    expect(waiting.get_by_role("link", name="Nordlund, Nina")).to_be_visible()
    picture(adam, "reviews")
    waiting.get_by_label(re.compile("Remark")).fill("Called South; in order.")
    waiting.get_by_role("button", name="Mark as reviewed").click()
    expect(adam.get_by_role("listitem").filter(has_text="Called South")).to_be_visible()
    expect(adam.get_by_text("Nothing waits for your review.")).to_be_visible()

    # His own administrator learns of it too, but not whose record it was.
    berta = at(admin_b).page
    berta.goto("/site/emergencies/")
    expect(berta.get_by_role("listitem").filter(has_text="Bob Barley")).to_contain_text(REASON)
    expect(berta.get_by_text("Nordlund")).to_have_count(0)

    # It ends by itself; what is opened anew can be ended before.
    EmergencyAccess.objects.update(expires_at=timezone.now())
    answer = page.goto(f"/patients/{patient_a.pk}/")
    assert answer is not None
    assert answer.status == 404
    page.goto("/emergency/")
    fill(page, patient_a.mrn)
    banner.get_by_role("button", name="End now").click()
    expect(page.get_by_text("The emergency access is ended.")).to_be_visible()
    answer = page.goto(f"/patients/{patient_a.pk}/")
    assert answer is not None
    assert answer.status == 404
