"""Files that nobody sends in good faith, made here: what the intake has to refuse.

A short selection for the installed portal; the product's tests hold many more. ``HostileFile`` says
what it pretends to be. Deterministic: the same bytes each time.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from ml.phantom import phantom_dicom, phantom_jpeg, phantom_png

_SIZE = (256, 256)


@dataclass(frozen=True)
class HostileFile:
    """``name`` is the file name it is sent under, ``about`` what is wrong with it."""

    about: str
    name: str
    data: bytes


def hostile_files() -> Iterator[HostileFile]:
    png, jpeg = phantom_png(seed=3, size=_SIZE), phantom_jpeg(seed=3, size=_SIZE)
    dicom = phantom_dicom(seed=3, size=_SIZE)
    yield HostileFile("nothing at all", "empty.png", b"")
    yield HostileFile("a PNG cut in half", "half.png", png[: len(png) // 2])
    yield HostileFile("a JPEG cut after its header", "half.jpg", jpeg[:200])
    yield HostileFile("a DICOM cut in half", "half.dcm", dicom[: len(dicom) // 2])
    yield HostileFile("the head of a PNG, then noise", "noise.png", png[:33] + b"\x00\xff" * 500)
    yield HostileFile("a PNG that claims 65,000 × 65,000 pixels", "bomb.png", _pixel_bomb())
    yield HostileFile("a ZIP that unpacks to 100 MB", "bomb.zip", _zip_bomb())
    yield HostileFile("a gzip under an image's name", "chest.png", gzip.compress(png, mtime=0))
    yield HostileFile("an SVG with a script", "chest.svg", _SVG)
    yield HostileFile("an SVG under a PNG's name", "chest.png", _SVG)
    yield HostileFile(
        "a page with a script", "chest.jpg", b"<html><script>alert(1)</script></html>"
    )
    yield HostileFile("a program under an image's name", "chest.jpg", b"\x7fELF" + bytes(2000))
    yield HostileFile("a Windows program", "chest.dcm", b"MZ" + bytes(2000))
    yield HostileFile("a GIF", "chest.gif", b"GIF89a" + bytes(500))
    yield HostileFile("a DICOM that lies about its pixels", "lie.dcm", _lying(dicom))
    yield HostileFile("noise", "noise.dcm", bytes((i * 197 + 31) % 256 for i in range(5000)))


_SVG = b"""<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>"""


def _pixel_bomb() -> bytes:
    """A few hundred bytes that would be four thousand million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", 65_000, 65_000, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(100_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("chest.png"), bytes(100_000_000))
    return out.getvalue()


def _lying(dicom: bytes) -> bytes:
    """Rows (0028,0010) says 60,000 where there are 256."""
    place = dicom.index(b"\x28\x00\x10\x00US\x02\x00") + 8
    return dicom[:place] + struct.pack("<H", 60_000) + dicom[place + 2 :]
