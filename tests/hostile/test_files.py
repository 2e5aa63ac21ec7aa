"""Every file of the corpus through the page and through the API."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image as Picture

from screening.patients.models import Patient
from screening.studies import decoding, gate
from screening.studies.models import Image
from tests import radiographs
from tests.hostile import films, pictures
from tests.hostile.case import MARK, TAKEN, Case
from tests.studies.test_gate import HOSTILE
from tests.studies.test_pixels import body_of

pytestmark = [pytest.mark.django_db, pytest.mark.once]

CASES = (
    {name: Case(lambda data=data: data, code) for name, (data, code) in HOSTILE.items()}  # type: ignore[misc]
    | pictures.cases()
    | films.cases()
)
ROOT = Path(__file__).resolve().parent.parent.parent
Check = Callable[[], None]
Count = Callable[[str], None]


def upload_of(data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("chest.png", data, content_type="image/png")


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_with_its_code_or_comes_in_without_its_sting(
    name: str,
    browser: Client,
    patient_a: Patient,
    page: Callable[[], str],
    nothing_is_left: Check,
    count: Count,
) -> None:
    case = CASES[name]
    data = case.make()
    by_page = browser.post(page(), {"image": upload_of(data)})
    if case.code != TAKEN:
        assert by_page.status_code == 422, by_page.content
        assert by_page.json()["code"] == case.code
        assert set(by_page.json()) == {"code", "message"}
        nothing_is_left()
    by_api = browser.post("/api/v1/studies/", {"patient": patient_a.pk, "images": upload_of(data)})
    if case.code != TAKEN:
        assert (by_api.status_code, by_api.json()["code"]) == (422, case.code)
        nothing_is_left()
        count("files refused with their code")
        return
    assert by_page.status_code == 201, by_page.content
    assert by_api.status_code == 201, by_api.content
    for image in Image.objects.all():
        _is_harmless(browser, image)
    count("files taken in without their sting")


def _is_harmless(browser: Client, image: Image) -> None:
    """What is sent of it are pixels drawn anew, or an attachment that is nothing but a picture."""
    for rendition in ("display", "thumbnail"):
        shown = body_of(browser.get(f"/images/{image.pk}/{rendition}/"))
        picture = Picture.open(io.BytesIO(shown))
        assert (picture.format, picture.mode) == ("JPEG", "L")
        assert MARK not in shown
    original = browser.get(f"/images/{image.pk}/original/")
    body = body_of(original)
    suffix = gate.EXTENSIONS[image.format]
    assert original["Content-Type"] == gate.CONTENT_TYPES[image.format]
    assert original["Content-Disposition"] == f'attachment; filename="{image.pk}{suffix}"'
    assert original["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in original["Content-Security-Policy"]
    if body[128:132] == b"DICM":
        assert body[:128] == bytes(128), "the film still begins with something else"
    assert browser.get(f"/images/{image.pk}/pixels/").status_code == 200


def test_the_corpus_is_as_large_as_is_said() -> None:
    assert len(CASES) >= 250


def test_a_form_of_everything_says_each_reason(
    browser: Client, patient_a: Patient, nothing_is_left: Check
) -> None:
    """The form without scripts, and an API request, of many hostile files at once."""
    refused = [name for name, case in CASES.items() if case.code][:60]
    files = [upload_of(CASES[name].make()) for name in refused]
    answer = browser.post("/api/v1/studies/", {"patient": patient_a.pk, "images": files})
    assert answer.status_code == 422
    assert [one["code"] for one in answer.json()["images"]] == [
        CASES[name].code for name in refused
    ]
    for file in files:
        file.seek(0)
    shown = browser.post(f"/patients/{patient_a.pk}/upload/", {"images": files})
    assert shown.status_code == 422
    nothing_is_left()


def test_a_file_that_takes_for_ever_is_given_up(
    browser: Client, page: Callable[[], str], nothing_is_left: Check, settings: Any, count: Count
) -> None:
    bomb = pictures.many_scans(24_000_000)
    decoding.close()
    settings.DECODE_TIMEOUT_S = 1.0
    try:
        answer = browser.post(page(), {"image": upload_of(bomb)})
        assert (answer.status_code, answer.json()["code"]) == (422, "decode_timeout")
        nothing_is_left()
    finally:
        decoding.close()
    settings.DECODE_TIMEOUT_S = 60.0
    assert browser.post(page(), {"image": upload_of(radiographs.png())}).status_code == 201
    decoding.close()
    count("files refused with their code")


def test_a_file_that_kills_its_decoder_costs_itself_alone(
    browser: Client, page: Callable[[], str], nothing_is_left: Check
) -> None:
    decoding.look(radiographs.png())
    [decoder] = decoding.the_pool().decoders()
    os.kill(decoder.pid, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (decoder.pid, signal.SIGKILL)).start()
    answer = browser.post(page(), {"image": upload_of(radiographs.png())})
    assert (answer.status_code, answer.json()["code"]) == (422, "decoder_died")
    nothing_is_left()
    assert browser.post(page(), {"image": upload_of(radiographs.png())}).status_code == 201


APPETITE = """
import json, resource, sys
from pathlib import Path
import django; django.setup()
from screening.studies import gate
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
gate.check_image(Path(sys.argv[1]).read_bytes())
before = peak()
for name in sys.argv[2:]:
    data = Path(name).read_bytes()
    try:
        gate.check_image(gate.read_bounded(data))
    except gate.UploadRefused:
        pass
print(json.dumps(peak() - before))
"""


WORST = (
    "deflate bomb",
    "deflate bomb of empty elements",
    "png text bomb (iTXt)",
    "jpeg that holds less than it claims",
    "250,000 elements",
    "private tags of 10 MB",
    "png whose pixels unfold beyond its size",
    "sequences 200,000 deep",
)


def test_the_web_process_needs_little_memory_whatever_comes(tmp_path: Path) -> None:
    """The worst of the corpus in a process of its own, whose peak is looked at afterwards."""
    paths = []
    for number, name in enumerate(WORST):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(CASES[name].make())
    (tmp_path / "sound").write_bytes(radiographs.png())
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings.test"}
    done = subprocess.run(
        [sys.executable, "-c", APPETITE, str(tmp_path / "sound"), *map(str, paths)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) < 100, "megabytes beyond what a small picture needs"
