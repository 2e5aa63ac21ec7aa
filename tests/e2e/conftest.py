"""One portal and one browser for all end-to-end tests; a fresh visitor for each."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Picture
from playwright.sync_api import Browser

from ml.phantom import phantom_dicom, phantom_png
from tests.e2e.browser import CHROMIUM, Chromiums, Visitor, chromium
from tests.ml.dicoms import nameless
from tests.services.kit import Stack, running_stack

NewVisitor = Callable[..., Visitor]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a browser test that failed one more go; the summary names it as RERUN with its reason.

    A browser, a web server, a worker and a second pass of the suite share two cores. A test that
    needed its second go is still a race to be found: the summary is to be read.
    """
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The portal as ``make run`` starts it: web server, Redis, worker, scheduler, model."""
    with running_stack(tmp_path_factory.mktemp("e2e") / "var") as portal:
        yield portal


@pytest.fixture(scope="package")
def chromiums() -> Iterator[Chromiums]:
    if not CHROMIUM.exists():
        reason = f"no Chromium at {CHROMIUM} (apt install chromium, or set CHROMIUM)"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium() as started, pytest.MonkeyPatch.context() as patch:
        # Playwright keeps an event loop in this thread, and Django suspects asynchronous code in
        # the database work of a test beside it.
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        shared = Chromiums(started)
        yield shared
        shared.close()


@pytest.fixture
def browser(request: pytest.FixtureRequest, chromiums: Chromiums) -> Browser:
    """The shared browser, a new one in a test's second go and after it had to be killed."""
    second_go = getattr(request.node, "execution_count", 1) > 1
    usable = chromiums.current.is_connected() and not second_go
    return chromiums.current if usable else chromiums.renew()


@pytest.fixture
def visitor(browser: Browser, stack: Stack) -> Iterator[NewVisitor]:
    """Makes visitors; when the test ends, none of their browsers may have complained."""
    made: list[Visitor] = []

    def new(**options: Any) -> Visitor:
        made.append(Visitor(browser, options.pop("base", stack.base), **options))
        return made[-1]

    yield new
    for one in made:
        one.close()
    complaints = [text for one in made for text in one.complaints]
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def clinician(visitor: NewVisitor, stack: Stack) -> Visitor:
    """The clinician of the first start, signed in."""
    person = visitor()
    person.sign_in(*stack.login("clinician"))
    return person


@pytest.fixture
def admin(visitor: NewVisitor, stack: Stack) -> Visitor:
    person = visitor()
    person.sign_in(*stack.login("admin"))
    return person


def _black() -> bytes:
    """A picture that can be read, but is no radiograph that anybody could judge."""
    out = io.BytesIO()
    Picture.new("L", (512, 512), 3).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Generated pictures, and one file that only claims to be a picture."""
    folder = tmp_path_factory.mktemp("xrays")
    contents = {
        "black.png": _black(),
        "first.png": phantom_png(seed=11, size=(512, 512)),
        "second.dcm": nameless(phantom_dicom(seed=12, size=(512, 512))),
        "stranger.dcm": phantom_dicom(seed=15, size=(512, 512)),
        "third.png": phantom_png(seed=13, size=(1536, 1536)),
        "broken.png": phantom_png(seed=14, size=(512, 512))[:5000],
    }
    paths = {}
    for name, content in contents.items():
        paths[name] = folder / name
        paths[name].write_bytes(content)
    return paths
