"""No barrier on any page: wide and narrow, light and dark, with something on it.

The pages are those of the URLconf: an address that is neither visited here nor listed as "no page"
fails the test, so nobody forgets a new one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from portal.selftest import routes
from screening.accounts.models import Site, User
from screening.inference.models import Label
from screening.patients.models import Patient
from tests.e2e import axe
from tests.e2e.browser import DESKTOP, PHONE, Visitor
from tests.permissions import objects as things
from tests.personas import *  # noqa: F403  (fixtures)
from tests.personas import sign_in
from tests.record import rows

pytestmark = [pytest.mark.e2e, pytest.mark.once, pytest.mark.timeout(900)]

# Answers that are no page: files, fragments that a page asks for, and what only takes a POST.
NO_PAGES = {
    "healthz",
    "readyz",
    "robots.txt",
    ".well-known/security.txt",
    "logout/",
    "emergency/<uuid:access_id>/end/",
    "site/emergencies/rule/",
    "site/emergencies/<uuid:access_id>/review/",
    "users/<uuid:membership_id>/role/",
    "users/<uuid:membership_id>/deactivate/",
    "users/<uuid:membership_id>/reactivate/",
    "users/<uuid:membership_id>/reset-password/",
    "users/<uuid:membership_id>/reset-second-factor/",
    "account/second-factor/codes/",
    "account/second-factor/<int:factor_id>/name/",
    "account/second-factor/<int:factor_id>/remove/",
    "site/settings/second-factor/",
    "login/second-factor/",  # Needs a password first: see test_identity.py.
    "invitations/<uuid:invitation_id>/revoke/",
    "sign-on/",
    "sign-on/callback/",
    "account/tokens/<uuid:token_id>/revoke/",
    "account/session/",
    "account/session/renew/",
    "account/sessions/end-others/",
    "account/sessions/<uuid:handle>/end/",
    "users/<uuid:membership_id>/end-sessions/",
    "site/devices/<uuid:device_id>/deactivate/",
    "site/devices/<uuid:device_id>/reactivate/",
    "site/tokens/<uuid:token_id>/revoke/",
    "patients/<uuid:patient_id>/uploads/<uuid:study_id>/",
    "patients/<uuid:patient_id>/csv/",
    "images/<uuid:image_id>/display/",
    "images/<uuid:image_id>/thumbnail/",
    "images/<uuid:image_id>/original/",
    "images/<uuid:image_id>/pixels/",
    "images/<uuid:image_id>/heatmap/",
    "images/<uuid:image_id>/retry/",
    "images/<uuid:image_id>/measurements/",
    "studies/<uuid:study_id>/diagnosis/withdraw/",
    "studies/<uuid:study_id>/state/",
    "studies/<uuid:study_id>/reading/draft/",
    "studies/<uuid:study_id>/reading/first-impression/",
    "studies/<uuid:study_id>/reading/sign/",
    "studies/<uuid:study_id>/reports/issue/",
    "studies/<uuid:study_id>/reports/preliminary.pdf",
    "studies/csv/",
    "site/retention/erasures/<uuid:erasure_id>.json",
    "exports/preview/<uuid:image_id>/",
    "exports/<uuid:export_id>/state/",
    "exports/<uuid:export_id>/looked/",
    "exports/<uuid:export_id>/remove/",
    "exports/<uuid:export_id>/file/",
    "exports/<uuid:export_id>/who-is-who.csv",
    "readings/<uuid:reading_id>/addenda/",
    "readings/figures.csv",
    "readings/second-looks/<uuid:discrepancy_id>/",
    "reports/<uuid:report_id>/pdf/",
    "reports/<uuid:report_id>/withdraw/",
    "models/versions/promote/",
    "models/versions/shadow/",
    "models/versions/shadow/stop/",
    "models/versions/shadow/look-back/",
    "worklist/rows/",
    "worklist/next/",
    "worklist/views/",
    "worklist/csv/",
    "worklist/views/<uuid:view_id>/delete/",
    "worklist/studies/<uuid:study_id>/claim/",
    "worklist/studies/<uuid:study_id>/release/",
    "worklist/studies/<uuid:study_id>/assign/",
    "worklist/studies/<uuid:study_id>/retry/",
    "worklist/studies/<uuid:study_id>/presence/",
    "notifications/read/",
    "notifications/mail/",
    "notifications/bell/",
    "viewer/preferences/",
    "site/dashboard.csv",
    "site/audit/export/",
}
# Opened without signing in; the others as an administrator, who sees the most.
ANONYMOUS = {"login/", "invitation/<str:token>/", "verify/", "verify/<str:code>/"}
# More than one look at a page: with an answer of each kind, with a complaint, with nothing found.
MORE = {
    "patients/": ["/patients/?q=nobody-at-all"],
    "studies/": ["/studies/?status=failed", "/studies/?since=nonsense"],
    "studies/<uuid:study_id>/": [
        "/studies/{refused_study_id}/",
        "/studies/{open_study_id}/",
        "/studies/{signed_study_id}/",
        "/studies/{doubtful_study_id}/",
    ],
    "site/dashboard/": ["/site/dashboard/?first=nonsense"],
    "site/audit/": ["/site/audit/?who=nobody", "/site/audit/?since=nonsense"],
    "": ["/nothing/here/"],
}

PAGES = sorted(
    {route.pattern for route in routes.routes(get_resolver().url_patterns) if not route.is_api}
    - NO_PAGES
)


def test_every_address_is_a_page_to_visit_or_known_to_be_none() -> None:
    known = {route.pattern for route in routes.routes(get_resolver().url_patterns)}
    assert known >= NO_PAGES
    assert set(PAGES) >= ANONYMOUS
    assert set(MORE) <= set(PAGES)


@pytest.fixture
def objects(clinician_a: User, admin_a: User, patient_a: Patient) -> dict[str, str]:
    """North with something on every page, and what addresses may name."""
    accounts_of_north = things.accounts_of_north(clinician_a, admin_a)
    studies_of_north = things.studies_of_north(clinician_a, patient_a)
    reports_of_north = things.reports_of_north(clinician_a, studies_of_north)
    exports_of_north = things.exports_of_north(admin_a, studies_of_north)
    refused = rows.send_image(clinician_a, patient_a, seed=5, name="upside-down.png")
    rows.refuse(refused, "upside_down")
    waiting = rows.send_image(clinician_a, patient_a, seed=6)
    doubtful = rows.send_image(clinician_a, patient_a, seed=7)
    rows.finish(
        doubtful,
        Label.COVID,
        carried=rows.evidence(
            possible=("covid", "pneumonia"), verdict="unreliable", caution="Part is cut off."
        ),
    )
    return {
        **accounts_of_north,
        **reports_of_north,
        **exports_of_north,
        "token": accounts_of_north["invitation_token"],
        "refused_study_id": str(refused.study_id),
        "open_study_id": str(waiting.study_id),
        "doubtful_study_id": str(doubtful.study_id),
    }


@pytest.fixture
def visitors(
    browser: Browser, live_server: LiveServer, objects: dict[str, str], admin_a: User
) -> Iterator[dict[str, Visitor]]:
    """Somebody who has not signed in, and the administrator."""
    base = live_server.url.replace("localhost", "127.0.0.1")  # The browser looks up no names.
    made = {name: Visitor(browser, base) for name in ("anonymous", "admin")}
    client = Client()
    sign_in(client, admin_a)
    session = client.cookies["sessionid"].value
    made["admin"].context.add_cookies([{"name": "sessionid", "value": session, "url": base}])
    for one in made.values():
        one.expected += ["/nothing/here/", "/reset/"]
    yield made
    for one in made.values():
        one.close()


def addresses(objects: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each page to visit and who visits it."""
    for pattern in PAGES:
        named = objects
        if pattern.startswith("reset/"):
            named = {**objects, "token": objects["reset_token"]}
        who = "anonymous" if pattern in ANONYMOUS or pattern.startswith("reset/") else "admin"
        yield who, routes.address(pattern, named)
        for more in MORE.get(pattern, []):
            yield who, more.format(**objects)


def test_no_page_has_a_barrier_and_none_asks_another_machine(
    visitors: dict[str, Visitor], objects: dict[str, str], north: Site
) -> None:
    """Each page wide in one colour scheme and narrow in the other, by turns; ``AXE_ALL=1`` looks at
    all four, which takes twice as long."""
    found: list[str] = []
    for number, (who, address) in enumerate(addresses(objects)):
        schemes = ("light", "dark") if number % 2 else ("dark", "light")
        visitor = visitors[who]
        page = visitor.page
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]  # a plain dictionary
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        for size, one in zip((DESKTOP, PHONE), schemes, strict=True):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            for scheme in schemes if os.environ.get("AXE_ALL") else (one,):
                # Without motion, or colours are measured on their way from light to dark.
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
                where = f"{address} at {size['width']} px, {scheme}"
                found += [f"{where}: {line}" for line in axe.barriers(page)]
        if visitor.sideways() > 0:
            found.append(f"{address}: {visitor.sideways()} px too wide for a telephone")
    for visitor in visitors.values():
        found += visitor.complaints
    assert not found, f"{len(found)} barriers:\n" + "\n".join(sorted(set(found)))


def test_a_barrier_would_be_found(visitors: dict[str, Visitor]) -> None:
    page = visitors["anonymous"].page
    page.goto("/login/")
    page.evaluate("document.querySelector('label').remove()")
    assert any(line.startswith("label") for line in axe.barriers(page))


def test_in_german_no_page_is_too_wide(
    visitors: dict[str, Visitor], objects: dict[str, str], admin_a: Any
) -> None:
    visitor = visitors["admin"]
    User.objects.filter(pk=admin_a.pk).update(language="de")
    visitor.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    wide = {}
    for who, address in addresses(objects):
        if who == "admin":
            visitor.page.goto(address)
            assert visitor.page.get_attribute("html", "lang") == "de", address
            wide[address] = visitor.sideways()
    assert {address: width for address, width in wide.items() if width > 0} == {}
