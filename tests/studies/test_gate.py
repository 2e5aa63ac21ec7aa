"""The one gate: every code, and what hostile files meet."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from django.core.files.base import ContentFile
from PIL import Image as Picture
from PIL import PngImagePlugin

from ml.phantom import phantom_dicom, phantom_jpeg, phantom_png
from screening.studies import gate

MEGABYTE = 1024 * 1024


def refusal_of(data: bytes) -> gate.UploadRefused:
    with pytest.raises(gate.UploadRefused) as caught:
        gate.check_image(gate.read_bounded(data))
    return caught.value


def png_chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def png_that_claims(width: int, height: int) -> bytes:
    """A tiny PNG whose header promises a picture of the given size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + png_chunk(b"IEND", b"")
    )


def saved(picture: Picture.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (phantom_png(1, size=(640, 512)), "png"),
        (phantom_png(2, size=(640, 512), bits=16), "png"),
        (phantom_jpeg(3, size=(640, 512)), "jpeg"),
        (phantom_dicom(4, size=(640, 512)), "dicom"),
        (phantom_dicom(5, size=(640, 512), photometric="MONOCHROME1", modality="CR"), "dicom"),
        (phantom_dicom(6, size=(640, 512), syntax="jpeg2000"), "dicom"),
        (phantom_dicom(7, size=(640, 512), syntax="rle", bits=16), "dicom"),
    ],
)
def test_a_radiograph_comes_in_with_its_renditions(data: bytes, kind: str) -> None:
    checked = gate.check_image(data)

    assert checked.header.format == kind
    assert (checked.header.width, checked.header.height) == (640, 512)
    assert checked.sha256 == hashlib.sha256(data).hexdigest()
    display = Picture.open(io.BytesIO(checked.display))
    thumbnail = Picture.open(io.BytesIO(checked.thumbnail))
    assert (display.format, display.mode, display.size) == ("JPEG", "L", (640, 512))
    assert (thumbnail.format, thumbnail.mode) == ("JPEG", "L")
    assert thumbnail.size == (256, 205)
    assert np.asarray(display).std() > 10, "the rendition shows something"


def test_both_photometric_interpretations_look_alike() -> None:
    looks = [
        np.asarray(
            Picture.open(
                io.BytesIO(gate.check_image(phantom_dicom(9, photometric=photometric)).display)
            )
        ).astype(int)
        for photometric in ("MONOCHROME1", "MONOCHROME2")
    ]
    assert abs(looks[0] - looks[1]).mean() < 1


def test_a_large_picture_is_shown_smaller() -> None:
    checked = gate.check_image(phantom_png(1, size=(3000, 2400)))
    assert Picture.open(io.BytesIO(checked.display)).size == (2048, 1638)


HOSTILE = {
    "nothing at all": (b"", "empty_file"),
    "one byte": (b"\0", "unsupported_type"),
    "text": (b"just a letter to the radiologist\n" * 50, "unsupported_type"),
    "a web page": (b"<html><script>alert(1)</script></html>", "unsupported_type"),
    "svg with script": (
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "unsupported_type",
    ),
    "a program": (b"MZ\x90\0" + b"\0" * 500, "unsupported_type"),
    "an archive": (b"PK\x03\x04" + b"\0" * 500, "unsupported_type"),
    "a gif": (saved(Picture.new("L", (300, 300)), "GIF"), "unsupported_type"),
    "a tiff": (saved(Picture.new("L", (300, 300)), "TIFF"), "unsupported_type"),
    "a webp": (saved(Picture.new("RGB", (300, 300)), "WEBP"), "unsupported_type"),
    "png magic, then text": (b"\x89PNG\r\n\x1a\n" + b"hello" * 100, "corrupt_image"),
    "jpeg magic, then text": (b"\xff\xd8\xff\xe0" + b"hello" * 100, "corrupt_image"),
    "dicom magic, then noise": (b"\0" * 128 + b"DICM" + b"\xa5" * 900, "not_a_radiograph_modality"),
    "half a png": (phantom_png(1, size=(512, 512))[:20_000], "corrupt_image"),
    "half a jpeg": (phantom_jpeg(1, size=(512, 512))[:8_000], "corrupt_image"),
    "half a dicom": (phantom_dicom(1, size=(512, 512))[:90_000], "corrupt_image"),
    "a png that claims 4 gigapixels": (png_that_claims(65_000, 65_000), "too_many_pixels"),
    "a png that claims 65 megapixels": (png_that_claims(65_000, 1_000), "too_many_pixels"),
    "a png that holds less than it claims": (png_that_claims(2_000, 2_000), "corrupt_image"),
    "a thumbnail": (saved(Picture.new("L", (199, 900)), "PNG"), "too_small"),
}


@pytest.mark.parametrize(("data", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_radiograph_is_refused_with_its_code(data: bytes, code: str) -> None:
    refusal = refusal_of(data)

    assert refusal.code == code
    assert refusal.http_status == 422
    assert refusal.message.endswith(".")
    assert len(refusal.message) > 20, "a sentence, not a word"


def test_a_ct_is_no_radiograph() -> None:
    data = phantom_dicom(1, size=(300, 300))
    ct = data.replace(b"CS\x02\0DX", b"CS\x02\0CT").replace(
        b"1.2.840.10008.5.1.4.1.1.1.1\0", b"1.2.840.10008.5.1.4.1.1.2\0\0\0"
    )
    assert refusal_of(ct).code == "not_a_radiograph_modality"


def test_a_compression_bomb_is_refused_before_it_unfolds() -> None:
    """A hundred million black pixels weigh 100 kB as PNG."""
    bomb = saved(Picture.new("1", (10_000, 10_000)), "PNG")
    assert len(bomb) < MEGABYTE
    assert refusal_of(bomb).code == "too_many_pixels"


def test_a_bomb_in_the_metadata_is_no_trouble() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "A" * 70_000_000, zip=True)
    bomb = saved(Picture.new("L", (300, 300), 90), "PNG", pnginfo=info)
    assert len(bomb) < MEGABYTE
    assert refusal_of(bomb).code == "corrupt_image"


def test_a_second_file_behind_the_picture_is_never_shown() -> None:
    """A polyglot may come in, but browsers only get pixels that were encoded anew."""
    payload = b"PK\x03\x04<script>alert(document.cookie)</script>"
    checked = gate.check_image(phantom_jpeg(1, size=(512, 512)) + payload)
    assert checked.data.endswith(payload)
    assert b"script" not in checked.display + checked.thumbnail
    assert b"PK\x03\x04" not in checked.display + checked.thumbnail


def test_names_in_the_metadata_are_not_in_the_renditions() -> None:
    data = phantom_dicom(1, size=(512, 512))
    checked = gate.check_image(data)
    assert b"hantom" in data, "the sample does carry a patient's name"
    assert b"hantom" not in checked.display + checked.thumbnail


def test_a_colour_picture_becomes_grey() -> None:
    checked = gate.check_image(saved(Picture.new("RGB", (300, 300), (200, 30, 30)), "PNG"))
    assert Picture.open(io.BytesIO(checked.display)).mode == "L"


def test_size_is_asked_before_a_byte_is_read() -> None:
    class Endless(ContentFile):
        def read(self, *_: object) -> bytes:
            raise AssertionError("the body was read")

    upload = Endless(b"")
    upload.size = 25 * MEGABYTE + 1
    with pytest.raises(gate.UploadRefused) as caught:
        gate.read_bounded(upload)
    assert (caught.value.code, caught.value.http_status) == ("too_large", 413)
    assert "25 MB" in caught.value.message


def test_a_file_that_lies_about_its_size_is_cut_off() -> None:
    upload = ContentFile(b"\0" * (25 * MEGABYTE + 1))
    upload.size = 10
    with pytest.raises(gate.UploadRefused) as caught:
        gate.read_bounded(upload)
    assert caught.value.code == "too_large"


def test_exactly_the_limit_is_not_too_large() -> None:
    data = phantom_jpeg(1, size=(512, 512))
    data += b"\0" * (25 * MEGABYTE - len(data))
    assert gate.check_image(gate.read_bounded(data)).header.format == "jpeg"


def test_a_portal_short_of_memory_says_so_and_blames_no_file() -> None:
    """An address space too small for the picture, in a process of its own."""
    code = (
        "import resource, sys; "
        "import django; django.setup(); "
        "from ml.phantom import encode_dicom; import numpy as np; "
        "from screening.studies import gate; "
        "data = encode_dicom(np.zeros((3300, 3300), np.int32)); "
        "gate.check_image(encode_dicom(np.eye(300, dtype=np.int32))); "
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize(); "
        "resource.setrlimit(resource.RLIMIT_AS, (used + 20_000_000, -1)); "
        "import screening.studies.gate as g\n"
        "try:\n    gate.check_image(data)\n"
        "except g.UploadRefused as refusal:\n    print(refusal.code, refusal.http_status)"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings.test"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.strip() == "out_of_memory 503", done.stderr
