"""The worst over a real connection to a real portal, and what is left when that is killed."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.client import Answer, Login, PortalClient
from ml.phantom import phantom_png
from tests.hostile import films, pictures
from tests.hostile.test_requests import BOUNDARY, body, part
from tests.services.kit import Stack, wait_for

pytestmark = [pytest.mark.once, pytest.mark.services]

WORST = ("deflate bomb", "png text bomb (iTXt)", "private tags of 10 MB", "jpeg of 4 gigapixels")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path / "var").start()
    yield made
    made.stop()


def decoders(processes: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in processes:
        try:
            if any(word.endswith("decoder/child.py") for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def code_of(client: PortalClient, patient: str, data: bytes) -> str:
    """With which code a file is refused; empty when it comes in."""
    try:
        client.upload(patient, [("x.dcm", data)])
    except Answer as answer:
        return str(answer.body["code"])
    return ""


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def test_a_portal_that_is_attacked_stays_small_and_leaves_nothing(stack: Stack) -> None:
    client = PortalClient(stack.base)
    client.sign_in(Login(*stack.login("clinician")))
    patient = client.create_patient()
    sound = client.upload(patient, [("chest.png", phantom_png(1, size=(400, 400)))])
    web = [process for process in stack.processes() if "gunicorn" in " ".join(process.cmdline())]
    before = {process.pid: process.memory_info().rss for process in web}
    cases = films.cases() | pictures.cases()
    for name in WORST:
        assert code_of(client, patient, cases[name].make()) == cases[name].code, name
    grown = max(process.memory_info().rss - before[process.pid] for process in web)
    assert grown < 150e6, f"{grown / 1e6:.0f} MB more"
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=20)
    chunked = iter([body(part(b"a.png", b"x"))])
    kind = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    connection.request(
        "POST", "/api/v1/studies/", chunked, {"Content-Type": kind}, encode_chunked=True
    )
    assert connection.getresponse().status in (400, 401, 403, 411)
    connection.close()
    assert client.wait(sound["id"], timeout_s=60, every_s=0.1)["status"] == "done"
    assert list((stack.var / "run" / "uploads").iterdir()) == []
    working = decoders(stack.processes())
    assert working
    assert all(process.memory_info().rss < 150e6 for process in working)
    assert stack.process is not None
    stack.process.kill()
    stack.process.wait()
    wait_for(lambda: not any(map(alive, working)), seconds=15, what="the end of the decoders")
