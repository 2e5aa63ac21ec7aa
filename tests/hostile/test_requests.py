"""Requests that are not what they say, and names that want to be paths, commands or pages."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from django.test import Client

from screening.patients.models import Patient
from screening.studies.models import Image
from tests import radiographs
from tests.radiographs import stored_files

pytestmark = [pytest.mark.django_db, pytest.mark.once]

Check = Callable[[], None]
Count = Callable[[str], None]
BOUNDARY = b"----hostile"
JSON = {"accept": "application/json"}

NAMES: dict[str, bytes] = {
    "up and away": b"../../../../etc/cron.d/x.png",
    "windows paths": b"..\\..\\windows\\system32\\x.png",
    "absolute": b"/etc/passwd",
    "a drive": b"C:\\autoexec.bat",
    "a share": b"\\\\host\\share\\x.png",
    "encoded path": b"%2e%2e%2f%2e%2e%2fx.png",
    "nothing but dots": b"..",
    "nul in the middle": b"chest.png\0.exe",
    "not utf-8": b"R\xf6ntgen\xff\xfe.png",
    "overlong utf-8": b"\xc0\xae\xc0\xae\xc0\xafx.png",
    "lone surrogate": b"\xed\xa0\x80x.png",
    "right to left override": "chest\u202egnp.exe".encode(),
    "invisible letters": "che\u200bst\ufeff.png".encode(),
    "a line break": b"a.png\nSet-Cookie: x=1",
    "a header": b"a.png\r\nContent-Type: text/html\r\n\r\n<script>",
    "quotes": b'a".png',
    "a script": b"<img src=x onerror=alert(1)>.png",
    "a formula": b"=HYPERLINK(0).png",
    "a shell": b"$(reboot)`id`;|.png",
    "a template": b"{{ request.user.password }}{% debug %}.png",
    "sql": b"'; DROP TABLE studies_image; --.png",
    "format string": b"%s%s%n%(name)s{0.__class__}.png",
    "ten thousand letters": b"x" * 10_000 + b".png",
    "thousand marks on one letter": ("a" + "\u0301" * 1000 + ".png").encode(),
    "a device": b"CON.png",
    "hidden": b".htaccess",
    "a stream": b"x.png::$DATA",
    "spaces only": b"   ",
    "emoji": "🫁🩻.png".encode(),
    "html named png": b"page.html",
    "two extensions": b"x.php.png",
}


def part(name: bytes, data: bytes, *, headers: bytes = b"", disposition: bytes = b"") -> bytes:
    head = disposition or b'Content-Disposition: form-data; name="image"; filename="' + name + b'"'
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n" + headers + b"\r\n" + data + b"\r\n"


def body(*parts: bytes, end: bytes = b"--" + BOUNDARY + b"--\r\n") -> bytes:
    return b"".join(parts) + end


def send(browser: Client, address: str, content: bytes, kind: str = "", **extra: str) -> object:
    kind = kind or f"multipart/form-data; boundary={BOUNDARY.decode()}"
    return browser.generic("POST", address, content, kind, headers=JSON, **extra)


@pytest.mark.parametrize("case", NAMES)
def test_a_name_is_only_ever_shown(
    case: str,
    browser: Client,
    page: Callable[[], str],
    media_root: Path,
    uploads: Path,
    count: Count,
) -> None:
    answer = send(browser, page(), body(part(NAMES[case], radiographs.png())))
    assert answer.status_code in (201, 400, 422), answer.content  # type: ignore[attr-defined]
    for stored in stored_files(media_root):
        assert stored.startswith("images/")
        assert stored.isascii()
    assert list(uploads.iterdir()) == []
    for image in Image.objects.all():
        shown = image.original_name
        assert len(shown) <= 255
        assert not set("/\\") & set(shown)
        assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs")]
        study = browser.get(f"/studies/{image.study_id}/")
        assert study.status_code == 200
        assert b"<img src=x" not in study.content
        original = browser.get(f"/images/{image.pk}/original/")
        assert original["Content-Disposition"] == f'attachment; filename="{image.pk}.png"'
    count("file names that lead nowhere")


def test_a_name_in_two_spellings_leads_nowhere_either(
    browser: Client, page: Callable[[], str], media_root: Path
) -> None:
    """RFC 5987: a second, encoded name beside the first."""
    disposition = (
        b'Content-Disposition: form-data; name="image"; filename="a.png"; '
        b"filename*=UTF-8''" + quote("../../etc/passwd", safe="").encode()
    )
    send(browser, page(), body(part(b"", radiographs.png(), disposition=disposition)))
    assert all(name.startswith("images/") for name in stored_files(media_root))
    for image in Image.objects.all():
        assert "/" not in image.original_name


PNG = radiographs.png(1, 256)
FORM = b'Content-Disposition: form-data; name="'
REQUESTS: dict[str, tuple[bytes, str, dict[str, str]]] = {
    "no boundary": (body(part(b"a.png", PNG)), "multipart/form-data", {}),
    "another boundary": (body(part(b"a.png", PNG)), "multipart/form-data; boundary=other", {}),
    "a boundary of 10,000 letters": (
        body(part(b"a.png", PNG)),
        "multipart/form-data; boundary=" + "x" * 10_000,
        {},
    ),
    "a boundary with a line break": (
        body(part(b"a.png", PNG)),
        "multipart/form-data; boundary=a\r\nb",
        {},
    ),
    "no body": (b"", "", {}),
    "nothing but the end": (body(), "", {}),
    "a part without an end": (body(part(b"a.png", PNG[:500]), end=b""), "", {}),
    "a part without headers": (b"--" + BOUNDARY + b"\r\n\r\n" + PNG, "", {}),
    "no file name": (body(part(b"", PNG, disposition=FORM + b'image"')), "", {}),
    "an empty file name": (body(part(b"", PNG)), "", {}),
    "another field": (
        body(part(b"", PNG, disposition=FORM + b'picture"; filename="a.png"')),
        "",
        {},
    ),
    "a field without a name": (
        body(part(b"", PNG, disposition=b'Content-Disposition: form-data; filename="a.png"')),
        "",
        {},
    ),
    "no disposition": (body(part(b"", PNG, disposition=b"X-Nothing: 1")), "", {}),
    "a disposition that is none": (
        body(part(b"", PNG, disposition=b"Content-Disposition: ;;;=;==\xff")),
        "",
        {},
    ),
    "5,000 headers": (
        body(part(b"a.png", b"", headers=b"".join(b"X-%d: y\r\n" % n for n in range(5_000)))),
        "",
        {},
    ),
    "a header of 5 MB": (
        body(part(b"a.png", b"", headers=b"X: " + b"y" * 5_000_000 + b"\r\n")),
        "",
        {},
    ),
    "base64 that is none": (
        body(part(b"a.png", b"=!!!=", headers=b"Content-Transfer-Encoding: base64\r\n")),
        "",
        {},
    ),
    "an unknown charset": (
        body(part(b"a.png", b"text", headers=b"Content-Type: text/plain; charset=utf-999\r\n")),
        "",
        {},
    ),
    "a charset for the whole": (
        body(part(b"a.png", b"text")),
        f"multipart/form-data; charset=utf-7; boundary={BOUNDARY.decode()}",
        {},
    ),
    "3,000 fields": (
        body(*(part(b"", b"1", disposition=FORM + b'f%d"' % n) for n in range(3_000))),
        "",
        {},
    ),
    "300 files": (body(*(part(b"a.png", b"x") for _ in range(300))), "", {}),
    "a field of 30 MB": (body(part(b"", b"y" * 30_000_000, disposition=FORM + b'image"')), "", {}),
    "json": (b'{"image": "' + b"A" * 100 + b'"}', "application/json", {}),
    "form encoded": (b"image=abc", "application/x-www-form-urlencoded", {}),
    "no type": (PNG, "application/octet-stream", {}),
    "xml": (b"<x/>", "text/xml", {}),
    "nested multipart": (
        body(
            part(
                b"a.png",
                b"--x\r\n\r\n1\r\n--x--",
                headers=b"Content-Type: multipart/mixed; boundary=x\r\n",
            )
        ),
        "",
        {},
    ),
    "a length that is too small": (body(part(b"a.png", PNG)), "", {"CONTENT_LENGTH": "100"}),
    "a length below nothing": (body(part(b"a.png", PNG)), "", {"CONTENT_LENGTH": "-1"}),
    "a length that is no number": (body(part(b"a.png", PNG)), "", {"CONTENT_LENGTH": "many"}),
    "a length of 10 GB": (body(part(b"a.png", PNG)), "", {"CONTENT_LENGTH": "10000000000"}),
    "chunked, without a length": (
        body(part(b"a.png", PNG)),
        "",
        {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"},
    ),
    "packed": (
        body(part(b"a.png", PNG)),
        "",
        {"HTTP_CONTENT_ENCODING": "gzip", "CONTENT_LENGTH": "50"},
    ),
}


@pytest.mark.parametrize("case", REQUESTS)
@pytest.mark.parametrize("entrance", ["page", "api"])
def test_a_request_that_lies_is_refused_and_leaves_nothing(
    case: str,
    entrance: str,
    browser: Client,
    page: Callable[[], str],
    nothing_is_left: Check,
    count: Count,
) -> None:
    content, kind, extra = REQUESTS[case]
    address = page() if entrance == "page" else "/api/v1/studies/"
    answer = send(browser, address, content, kind, **extra)
    assert 400 <= answer.status_code < 500, answer.content  # type: ignore[attr-defined]
    told = answer.json()  # type: ignore[attr-defined]
    assert told["code"]
    assert told["message"].endswith((".", "”"))
    nothing_is_left()
    count("requests refused")


def test_of_a_field_sent_twice_only_one_file_counts(
    browser: Client, page: Callable[[], str], patient_a: Patient
) -> None:
    """What was judged is what is stored: the last one, as Django reads it."""
    twice = body(part(b"a.png", b"a letter"), part(b"b.png", PNG))
    assert send(browser, page(), twice).status_code == 201  # type: ignore[attr-defined]
    assert Image.objects.get().original_name == "b.png"
    twice = body(part(b"b.png", PNG), part(b"a.png", b"a letter"))
    assert send(browser, page(), twice).status_code == 422  # type: ignore[attr-defined]
    assert Image.objects.count() == 1
