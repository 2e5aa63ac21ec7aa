"""What people type and send is in the database and in no log, message, cache or error page.

The whole portal runs as ``make run`` starts it, with every log at DEBUG, and is used like on a bad
day: wrong passwords, forged forms, broken files, searches, refusals, work that fails. Then
everything it wrote is searched for the words that were typed.
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from ml.phantom import phantom_dicom, phantom_jpeg, phantom_png
from tests.services.kit import Stack, running_stack, wait_for

pytestmark = [pytest.mark.services, pytest.mark.once, pytest.mark.timeout(300)]

# Each is typed or sent in one place; none is a word that the portal itself may say.
CANARIES = {
    "family name": "Kanarienvogel",
    "given name": "Zwitscherine",
    "record number": "MRN-7719283",
    "birth date": "1931-05-23",
    "birth date in DICOM": "19310523",
    "search": "Suchkanarie",
    "file name": "vogelbild-7719",
    "text in a file": "PixelVogel",
    "reading": "Lesevogel",
    "reason": "Grundvogel",
    "wrong password": "falscher-vogel-771",
    "wrong user name": "vogelnutzer",
    "token": "tok-kanarie-771928371928371928",
    "path": "pfadvogel",
    "other patient in a file": "Fremdvogel",
}


class Person:
    """A browser; it keeps every answer, to be searched later."""

    def __init__(self, stack: Stack) -> None:
        self._base = stack.base
        self._session = requests.Session()
        self.answers: list[requests.Response] = []

    def get(self, path: str, **more: Any) -> requests.Response:
        return self._keep(self._session.get(self._base + path, timeout=60, **more))

    def post(self, path: str, data: dict[str, Any], **more: Any) -> requests.Response:
        token = self._session.cookies.get("csrftoken", "")
        body = {"csrfmiddlewaretoken": token, **data}
        referer = {"Referer": f"{self._base}/"}
        answer = self._session.post(
            self._base + path, data=body, headers=referer, timeout=60, **more
        )
        return self._keep(answer)

    def _keep(self, answer: requests.Response) -> requests.Response:
        self.answers.append(answer)
        return answer

    def sign_in(self, username: str, password: str) -> None:
        self.get("/login/")
        self.post("/login/", {"username": username, "password": password})
        assert "ThoraScreen" in self.get("/").text


def film(**tags: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(phantom_dicom(5, "normal", size=(512, 512))))
    dataset.PatientName = f"{CANARIES['family name']}^{CANARIES['given name']}"
    dataset.PatientID = CANARIES["record number"]
    dataset.PatientBirthDate = CANARIES["birth date in DICOM"]
    dataset.PatientComments = CANARIES["text in a file"]
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def pictures() -> list[tuple[str, bytes]]:
    """One file of each kind, with words in it and in its name, and one that is none."""
    note = PngInfo()
    note.add_text("Patient", CANARIES["text in a file"])
    stream = io.BytesIO()
    Picture.open(io.BytesIO(phantom_png(6, size=(512, 512)))).save(stream, "PNG", pnginfo=note)
    name = CANARIES["file name"]
    return [
        (f"{name}.dcm", film()),
        (f"{name}.png", stream.getvalue()),
        (f"{name}.jpg", phantom_jpeg(7, size=(512, 512))),
        (f"{name}-broken.dcm", film()[:3000]),
        (f"{name}-none.png", CANARIES["text in a file"].encode() * 40),
        (f"{name}-other.dcm", film(PatientName=CANARIES["other patient in a file"])),
    ]


def one(sequence: list[str]) -> str:
    assert sequence
    return sequence[0]


def a_bad_day(stack: Stack) -> Person:
    username, password = stack.login("clinician")
    person = Person(stack)
    person.get("/login/")
    person.post("/login/", {"username": username, "password": CANARIES["wrong password"]})
    person.post("/login/", {"username": CANARIES["wrong user name"], "password": "x"})
    person.sign_in(username, password)
    made = person.post(
        "/patients/new/",
        {
            "mrn": CANARIES["record number"],
            "family_name": CANARIES["family name"],
            "given_name": CANARIES["given name"],
            "birth_date": CANARIES["birth date"],
            "sex": "F",
        },
    )
    patient = one(re.findall(r"/patients/([0-9a-f-]{36})/", made.url))
    for searched in (CANARIES["search"], CANARIES["family name"], CANARIES["record number"]):
        person.get("/patients/", params={"q": searched})
        person.get("/patients/", params={"q": searched, "page": searched})
        person.get("/worklist/", params={"q": searched})
        person.get("/api/v1/patients/", params={"q": searched, "cursor": searched})
    files = [("images", (name, data)) for name, data in pictures()]
    person.post(f"/patients/{patient}/upload/", {}, files=files)

    def studies() -> list[dict[str, Any]]:
        found = person.get("/api/v1/studies/").json()["results"]
        done = [one for one in found if one["status"] not in ("queued", "running")]
        return done if len(done) == len(found) else []

    study = wait_for(studies, seconds=90, what="the studies to be analysed", every=1)[0]["id"]
    # what no model answers, so that it is an override whichever is installed
    entered = {"impression": "other", "text": CANARIES["reading"], "version": "0"}
    person.post(f"/studies/{study}/reading/draft/", entered)
    signed = {**entered, "stance": "overrides", "reason": CANARIES["reason"], "version": "1"}
    person.get(f"/studies/{study}/")
    person.post(f"/studies/{study}/reading/sign/", signed)
    person.get(f"/studies/{study}/reports/preliminary.pdf")
    person.post(f"/studies/{study}/reports/issue/", {"seen": "0"})
    person.get("/studies/csv/")
    person.get(f"/patients/{patient}/csv/")
    # Work that fails in a worker: what was to be exported is gone.
    for original in (stack.var / "media" / "images").rglob("*.dcm"):
        original.unlink()
    asked = {"study": study, "dates": "remove", "names": "fresh"}
    export = person.post("/exports/new/", asked).url
    wait_for(
        lambda: "could not be made" in person.get(export.removeprefix(stack.base)).text,
        seconds=60,
        what="the export to fail",
        every=1,
    )
    # Nonsense of every kind.
    person.get(f"/{CANARIES['path']}/")
    person.get(f"/verify/{CANARIES['path']}/")
    person.get(f"/invitation/{CANARIES['token']}/")
    person.get(f"/reset/{CANARIES['path']}/{CANARIES['token']}/")
    person.get(f"/api/v1/{CANARIES['path']}/")
    person.get("/api/v1/studies/", headers={"Authorization": f"Token {CANARIES['token']}"})
    person.get("/", headers={"X-Request-ID": f"{CANARIES['path']} {CANARIES['path']}"})
    person.post(f"/patients/{patient}/edit/", {"mrn": "", "family_name": CANARIES["family name"]})
    forged = {"csrfmiddlewaretoken": CANARIES["token"], "family_name": CANARIES["family name"]}
    person.post("/patients/new/", forged)
    person.get("/", headers={"Host": f"{CANARIES['path']}.example.org"})
    return person


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Person]:
    """The folder of a portal that had a bad day and was stopped, and who was there."""
    folder = tmp_path_factory.mktemp("canaries") / "var"
    with running_stack(folder, environment={"LOG_LEVEL": "DEBUG"}) as stack:
        person = a_bad_day(stack)
    return folder, person


def found_in(data: bytes) -> dict[str, str]:
    """The canaries that ``data`` holds, in clear or in a form that a log may give them."""
    found = {}
    for what, word in CANARIES.items():
        forms = {word, word.lower(), word.upper(), word.replace("-", "%2D")}
        if any(form.encode() in data for form in forms):
            found[what] = word
    return found


def test_no_log_no_message_and_no_cache_holds_what_was_typed(used: tuple[Path, Person]) -> None:
    folder, _ = used
    where = [folder.parent / f"{folder.name}-output.log"]
    where += [path for path in folder.rglob("*") if path.is_file()]
    kept = [path for path in where if "media" not in path.parts and "db.sqlite3" not in path.name]
    logs = [path for path in kept if path.suffix == ".log"]
    assert {path.name for path in logs} >= {"web.log", "worker.log", "redis.log"}
    assert b"DEBUG" in b"".join(path.read_bytes() for path in logs)
    assert any("redis" in path.parts for path in kept)
    told = {str(path.relative_to(folder.parent)): found_in(path.read_bytes()) for path in kept}
    assert {path: found for path, found in told.items() if found} == {}


def test_the_words_were_really_there(used: tuple[Path, Person]) -> None:
    """In the database and on the pages: otherwise the search above proves nothing."""
    folder, person = used
    database = b"".join(path.read_bytes() for path in folder.glob("db.sqlite3*"))
    there = found_in(database)
    assert set(there) >= {"family name", "given name", "record number", "reading", "reason"}
    shown = b"".join(answer.content for answer in person.answers)
    assert CANARIES["family name"].encode() in shown


def test_audit_and_sessions_hold_keys_and_no_names(used: tuple[Path, Person]) -> None:
    folder, _ = used
    with sqlite3.connect(folder / "db.sqlite3") as database:
        tables = {
            name: json.dumps(database.execute(f"SELECT * FROM {name}").fetchall(), default=str)  # noqa: S608
            for name in ("audit_event", "accounts_session")
        }
    assert "export.fail" in tables["audit_event"]
    assert len(tables["accounts_session"]) > 100
    # Who could not sign in is asked for by name: that one stands in the audit on purpose.
    found = {name: found_in(text.encode()) for name, text in tables.items()}
    found["audit_event"].pop("wrong user name", None)
    assert found == {"audit_event": {}, "accounts_session": {}}


def test_error_pages_do_not_repeat_what_was_asked(used: tuple[Path, Person]) -> None:
    _, person = used
    errors = [answer for answer in person.answers if answer.status_code >= 400]
    assert {answer.status_code for answer in errors} >= {400, 401, 403, 404}
    for answer in errors:
        told = found_in(answer.content)
        assert not told, (answer.request.method, answer.status_code, told)


def test_no_answer_may_be_kept_by_a_browser(used: tuple[Path, Person]) -> None:
    _, person = used
    for answer in person.answers:
        assert "no-store" in answer.headers["Cache-Control"], answer.request.path_url
