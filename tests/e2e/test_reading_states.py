"""The reading panel and the figures of readers, in each state that a fresh page does not show."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from screening.accounts.models import Site, User
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading.services import Draft, save_draft
from screening.studies.models import Study
from tests.e2e import axe
from tests.e2e.browser import DESKTOP, PHONE, Visitor
from tests.personas import *  # noqa: F403  (fixtures)
from tests.personas import sign_in
from tests.reading.conftest import blind_north, colleague_a  # noqa: F401  (fixtures)
from tests.reading.test_accuracy import a_reading
from tests.record import rows

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(300)]


@pytest.fixture
def visit(browser: Browser, live_server: LiveServer) -> Iterator[Callable[[User], Visitor]]:
    base = live_server.url.replace("localhost", "127.0.0.1")  # The browser looks up no names.
    made: list[Visitor] = []

    def come(user: User) -> Visitor:
        client = Client()
        sign_in(client, user)
        visitor = Visitor(browser, base)
        session = client.cookies["sessionid"].value
        visitor.context.add_cookies([{"name": "sessionid", "value": session, "url": base}])
        made.append(visitor)
        return visitor

    yield come
    for one in made:
        assert not one.complaints
        one.close()


def barriers(page: Page) -> list[str]:
    """At both widths, by day and by night; and whether the page fits a telephone."""
    found: list[str] = []
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)  # type: ignore[arg-type]  # a plain dictionary
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            found += [f"{scheme} {size['width']}: {line}" for line in axe.barriers(page)]
        wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        found += [f"{wide} px too wide"] if wide > 0 else []
    return found


@pytest.fixture
def film(blind_north: Site, clinician_a: User, patient_a: Patient) -> Study:  # noqa: F811
    image = rows.send_image(clinician_a, patient_a)
    carried = rows.evidence()
    carried["operating_point"] |= {"called": True}  # type: ignore[operator]
    rows.finish(image, Label.COVID, carried=carried)
    return rows.study_of(image)


def test_no_state_of_the_panel_has_a_barrier(
    film: Study, clinician_a: User, admin_a: User, visit: Callable[[User], Visitor]
) -> None:
    visitor = visit(clinician_a)
    visitor.expected.append("/reading/")
    page = visitor.page
    page.goto(f"/studies/{film.pk}/")
    assert barriers(page) == [], "before the first impression"

    save_draft(actor=clinician_a, study=film, draft=Draft("", "Elsewhere."), version=0)
    page.get_by_label("Text").fill("Here.")
    expect(page.locator("#draft-status").get_by_role("alert")).to_contain_text("Elsewhere.")
    assert barriers(page) == [], "overtaken by another page"

    page.get_by_role("button", name="Keep what is entered here").click()
    expect(page.locator("#draft-status")).to_contain_text("Draft saved")
    page.keyboard.press("Tab")
    page.locator(".choice").nth(2).click()
    page.get_by_role("button", name="Record and show").click()
    expect(page.locator("#reading-answer legend")).to_contain_text("COVID-19")
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.locator("#reading [role=alert]")).to_contain_text("Say why")
    assert barriers(page) == [], "something is missing"

    page.get_by_label("Why?").fill("A drawing.")
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.locator("[data-signed]")).to_contain_text("Normal")
    page.get_by_text("Add an addendum").click()
    assert barriers(page) == [], "signed"

    other = visit(admin_a).page
    other.goto(f"/studies/{film.pk}/")
    other.get_by_text("Write a second reading").click()
    expect(other.get_by_role("button", name="Record the second look")).to_be_visible()
    assert barriers(other) == [], "waiting for a second look"


def test_figures_with_something_in_them_have_no_barrier(
    blind_north: Site,  # noqa: F811
    clinician_a: User,
    admin_a: User,
    patient_a: Patient,
    visit: Callable[[User], Visitor],
) -> None:
    for first, final, truth in (
        ("normal", "pneumonia", "pneumonia"),
        ("covid", "covid", "covid"),
        ("normal", "normal", "normal"),
        ("unsure", "normal", "normal"),
    ):
        a_reading(clinician_a, patient_a, first, final, truth)
    page = visit(admin_a).page
    page.goto("/readings/figures/?whose=all")
    pneumonia = page.locator("[data-set=blind] [data-target=pneumonia]")
    expect(pneumonia.locator("[data-minds=better]")).to_contain_text("2")
    expect(pneumonia).to_contain_text("Too few to say much: 1 with it and 3 without")
    expect(pneumonia.locator("[data-arm=human] td").first).to_contain_text("0.0%")
    assert barriers(page) == []
