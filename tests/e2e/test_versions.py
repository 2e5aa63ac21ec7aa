"""The pages of model versions in a real browser, from the shadow to the way back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from screening.accounts.models import Site, User
from screening.inference.packages import Package, default_package
from screening.studies.models import Image
from tests.e2e import axe
from tests.e2e.browser import DESKTOP, PHONE, Visitor
from tests.governance.test_versions import REASON, candidate, compared, run  # noqa: F401
from tests.personas import *  # noqa: F403  (fixtures)
from tests.personas import sign_in

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.once,
    pytest.mark.timeout(300),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def admin(browser: Browser, live_server: LiveServer, admin_a: User) -> Iterator[Visitor]:
    """The administrator of North, signed in."""
    base = live_server.url.replace("localhost", "127.0.0.1")  # The browser looks up no names.
    made = Visitor(browser, base)
    client = Client()
    sign_in(client, admin_a)
    session = client.cookies["sessionid"].value
    made.context.add_cookies([{"name": "sessionid", "value": session, "url": base}])
    yield made
    made.close()


def assert_fits_everybody(visitor: Visitor) -> None:
    """No barrier and nothing to scroll sideways, wide and narrow, light and dark."""
    page = visitor.page
    found: list[str] = []
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]  # a plain dictionary
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            found += [f"{page.url} {size['width']} {scheme}: {line}" for line in axe.barriers(page)]
        if visitor.sideways() > 0:
            found.append(f"{page.url} must be scrolled sideways at {size['width']} px")
    assert found == []
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]


def test_from_the_shadow_to_a_promotion_and_back(
    admin: Visitor,
    compared: list[Image],  # noqa: F811
    candidate: Package,  # noqa: F811
    north: Site,
) -> None:
    page = admin.page
    page.goto("/models/")
    page.get_by_role("link", name="Versions and shadow").click()
    expect(page.get_by_text("In shadow", exact=True).last).to_be_visible()
    assert_fits_everybody(admin)

    page.get_by_role("link", name="Compare on our own studies").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("thorascreen 9.1.0 in shadow")
    assert_fits_everybody(admin)

    page.get_by_role("link", name="Review and promote…").click()
    expect(page.get_by_text("known way to do harm")).to_be_visible()
    assert_fits_everybody(admin)
    page.get_by_label("Reason").fill(REASON)
    page.get_by_label("I have reviewed").check()
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_role("status").filter(has_text="answers at North")).to_be_visible()

    page.get_by_role("link", name=f"Roll back… {default_package()}").click()
    page.get_by_label("Reason").fill("It called everybody ill.")
    page.get_by_label("I have reviewed").check()
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("heading", name="Every decision so far")).to_be_visible()
    expect(page.get_by_text("It called everybody ill.").first).to_be_visible()
    assert_fits_everybody(admin)
