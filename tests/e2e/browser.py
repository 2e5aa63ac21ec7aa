"""A real browser on the real portal, and a watch over everything it does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    BrowserType,
    ConsoleMessage,
    Error,
    Page,
    Request,
    expect,
    sync_playwright,
)

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
# No switch of Chromium's: it tells the processes of this test run from everybody else's.
MARK = f"--started-by-test-run={os.getpid()}"
ARGUMENTS = [
    MARK,
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    # Whatever a page might ask for, no name leads off this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
# Generous: a busy machine may start a worker or a browser slowly, and no test waits in vain.
PATIENCE_MS = 30_000
CLOSING_S = 20.0
expect.set_options(timeout=PATIENCE_MS)

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; nothing is downloaded."""
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        try:
            yield browser
        finally:
            with _or_killed(browser):
                browser.close()


@contextmanager
def _or_killed(browser: Browser | None) -> Iterator[None]:
    """Kill every Chromium of this test run if closing takes too long.

    Playwright waits for ever for the answer of a browser that hangs, and with it the whole suite:
    the time limit of the test has struck already, and does not strike twice.
    """
    watch = Timer(CLOSING_S, _kill_chromium)
    watch.start()
    try:
        yield
    except Error:
        if browser is None or browser.is_connected():
            raise
    finally:
        watch.cancel()


def _kill_chromium() -> None:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue  # It has gone by itself.


def launch(kind: BrowserType, *more: str) -> Browser:
    """Start a browser, with further switches."""
    return kind.launch(executable_path=str(CHROMIUM), args=[*ARGUMENTS, *more])


class Chromiums:
    """The browser that tests share, and another one when a test had to be started again.

    A Chromium that hangs keeps every further page waiting: a second go in the same one is none.
    """

    def __init__(self, first: Browser) -> None:
        self.current = first
        self._later: list[Browser] = []

    def renew(self) -> Browser:
        """A new browser for this test and all that follow; the earlier one is left to its fate."""
        self.current = launch(self.current.browser_type)
        self._later.append(self.current)
        return self.current

    def close(self) -> None:
        """Close what ``renew`` started."""
        for browser in self._later:
            with _or_killed(browser):
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
        with _or_killed(self.context.browser):
            self.context.close()
