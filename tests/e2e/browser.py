"""A real browser on the real portal, and a watch over everything it does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    # Whatever a page might ask for, no name leads off this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
# Generous: a busy machine may start a worker or a browser slowly, and no test waits in vain.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; nothing is downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """One person at one computer: a browser context with a watch over it.

    ``complaints`` collects console errors, script errors and requests to another machine. A
    refused upload is a 4xx answer, which Chromium reports on the console whatever the page
    does; ``expected`` names parts of such addresses.
    """

    def __init__(self, browser: Browser, base: str, **options: Any) -> None:
        self.base = base
        self.complaints: list[str] = []
        self.expected: list[str] = []
        options.setdefault("viewport", DESKTOP)
        self.context: BrowserContext = browser.new_context(base_url=base, **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.on("request", self._check_request)
        self.context.on("console", self._check_console)
        self.context.on("weberror", lambda error: self.complaints.append(f"script: {error.error}"))
        self.page: Page = self.context.new_page()

    def _check_request(self, request: Request) -> None:
        target = urlsplit(request.url)
        if target.scheme in ("data", "blob", "about"):
            return
        if target.netloc != urlsplit(self.base).netloc:
            self.complaints.append(f"asked another machine: {request.url}")

    def _check_console(self, message: ConsoleMessage) -> None:
        address = message.location.get("url", "")
        if message.type == "error" and not any(part in address for part in self.expected):
            self.complaints.append(f"console: {message.text} ({address})")

    def sign_in(self, username: str, password: str) -> None:
        self.page.goto("/login/")
        self.page.get_by_label("User name").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.base + "/")

    def sign_out(self) -> None:
        self.page.locator(".user-menu summary").click()
        self.page.get_by_role("button", name="Sign out").click()
        self.page.wait_for_url("**/login/")

    def register_patient(
        self, family_name: str, given_name: str, mrn: str, born: str, sex: str = "F"
    ) -> str:
        """Fill in the form; return the address of the case record."""
        page = self.page
        page.goto("/patients/new/")
        page.get_by_label("Family name").fill(family_name)
        page.get_by_label("Given name").fill(given_name)
        page.get_by_label("MRN").fill(mrn)
        page.get_by_label("Birth date").fill(born)
        page.get_by_label("Sex").select_option(sex)
        page.get_by_role("button", name="Register patient").click()
        page.get_by_role("heading", name=f"{family_name}, {given_name}").wait_for()
        return urlsplit(page.url).path

    def sideways(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(
            self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )

    def close(self) -> None:
        self.context.close()
