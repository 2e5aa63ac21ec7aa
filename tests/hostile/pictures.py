"""Hostile PNG and JPEG files, and files that only say that they are pictures."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from functools import cache
from typing import Any

import numpy as np
from PIL import Image as Picture
from PIL import PngImagePlugin

from tests import radiographs
from tests.hostile.case import MARK, Case, Cases
from tests.studies.test_gate import png_chunk, png_that_claims, saved

SIDE = 256
SIGNATURE = b"\x89PNG\r\n\x1a\n"


@cache
def png() -> bytes:
    return radiographs.png(1, SIDE)


@cache
def jpeg() -> bytes:
    return radiographs.jpeg(1, SIDE)


def grey(**options: Any) -> bytes:
    return saved(Picture.new("L", (SIDE, SIDE), 90), "PNG", **options)


# --- Broken off --------------------------------------------------------------------------------


def cut(data: bytes, at: float) -> bytes:
    """The first ``at`` bytes; below one a share, below zero counted from the end."""
    return data[: int(len(data) * at) if 0 < at < 1 else int(at)]


def broken_off() -> Cases:
    cases: Cases = {}
    for at in (4, 8, 20, 33, 40, 0.1, 0.5, 0.9, -100):
        code = "unsupported_type" if at == 4 else "corrupt_image"
        cases[f"png cut at {at}"] = Case(lambda at=at: cut(png(), at), code)  # type: ignore[misc]
    for at in (2, 3, 20, 200, 0.1, 0.5, 0.9, -100):
        code = "unsupported_type" if at == 2 else "corrupt_image"
        cases[f"jpeg cut at {at}"] = Case(lambda at=at: cut(jpeg(), at), code)  # type: ignore[misc]
    return cases


# --- Something else ----------------------------------------------------------------------------


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("../../../../etc/cron.d/x", "* * * * * root true")
        bundle.writestr("zeros", bytes(5_000_000))
    return stream.getvalue()


OTHER_TYPES: dict[str, bytes] = {
    "html named png": b"<!DOCTYPE html><title>x</title>" + MARK,
    "html behind a byte order mark": b"\xef\xbb\xbf<html>" + MARK,
    "svg": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'>" + MARK + b"</svg>",
    "svg with an entity bomb": (
        b"<!DOCTYPE s [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><svg>&b;</svg>"
    ),
    "xml that reads files": b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
    "postscript": b"%!PS-Adobe-3.0\n(%pipe%id) (r) file\n",
    "pdf": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF",
    "shell script": b"#!/bin/sh\nrm -rf /\n",
    "php": b"<?php system($_GET['c']); ?>",
    "elf": b"\x7fELF\x02\x01\x01" + bytes(200),
    "windows program": b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0" + bytes(200),
    "java class": b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(100),
    "bmp": b"BM" + struct.pack("<IHHI", 1000, 0, 0, 54) + bytes(1000),
    "icon": b"\0\0\1\0\1\0" + bytes(300),
    "photoshop": b"8BPS\0\1" + bytes(300),
    "heif": b"\0\0\0\x18ftypheic" + bytes(300),
    "avif": b"\0\0\0\x18ftypavif" + bytes(300),
    "jpeg xl": b"\xff\x0a" + bytes(300),
    "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(300),
    "jpeg 2000 codestream": b"\xff\x4f\xff\x51" + bytes(300),
    "mng": b"\x8aMNG\r\n\x1a\n" + bytes(300),
    "office document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "link of windows": b"L\0\0\0\x01\x14\x02\0" + bytes(100),
    "json": b'{"rows": 512}',
    "nifti": struct.pack("<I", 348) + bytes(344) + b"n+1\0",
    "nul bytes": bytes(4096),
    "a lone byte order mark": b"\xff\xfe",
    "png in capitals": b"\x89png\r\n\x1a\n" + bytes(100),
    "png whose line ends were changed": SIGNATURE.replace(b"\r\n", b"\n") + bytes(100),
    "gif with an archive behind (gifar)": b"GIF89a" + bytes(50) + b"PK\x03\x04" + MARK,
    "pdf with a jpeg behind": b"%PDF-1.4\n",
    "html with a png behind": b"<!--",
}


def other_types() -> Cases:
    cases = {
        name: Case(lambda data=data: data, "unsupported_type")  # type: ignore[misc]
        for name, data in OTHER_TYPES.items()
    }
    cases["pdf with a jpeg behind"] = Case(lambda: b"%PDF-1.4\n" + jpeg(), "unsupported_type")
    cases["html with a png behind"] = Case(lambda: b"<!--" + png(), "unsupported_type")
    cases["zip bomb"] = Case(archive, "unsupported_type")
    cases["gzip bomb"] = Case(lambda: gzip.compress(bytes(5_000_000)), "unsupported_type")
    cases["gzip of a png"] = Case(lambda: gzip.compress(png()), "unsupported_type")
    for kind in ("GIF", "TIFF", "WEBP", "BMP", "ICO", "PPM", "TGA", "PCX"):
        made = saved(Picture.new("RGB", (SIDE, SIDE), (9, 9, 9)), kind)
        cases[f"a sound {kind.lower()}"] = Case(lambda made=made: made, "unsupported_type")  # type: ignore[misc]
    return cases


# --- Polyglots: sound pictures that are something else as well -----------------------------------


def with_text(text: bytes, *, kind: bytes = b"tEXt") -> bytes:
    body = b"Comment\0" + text
    return png()[:33] + png_chunk(kind, body) + png()[33:]


def with_segment(marker: int, body: bytes) -> bytes:
    """The JPEG with a segment behind its start."""
    return jpeg()[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + jpeg()[2:]


def polyglots() -> Cases:
    return {
        "png with html behind": Case(lambda: png() + MARK),
        "png with an archive behind": Case(lambda: png() + b"PK\x03\x04" + MARK + archive()),
        "png with html in its text": Case(lambda: with_text(MARK)),
        "png with a private chunk": Case(
            lambda: png()[:33] + png_chunk(b"evIl", MARK * 50) + png()[33:]
        ),
        "jpeg with an archive behind": Case(lambda: jpeg() + b"PK\x03\x04" + MARK),
        "jpeg with html in a comment": Case(lambda: with_segment(0xFE, MARK)),
        "jpeg with a script behind": Case(lambda: jpeg() + b"\n*/=1;" + MARK),
        "jpeg that is a script (bom and comment)": Case(
            lambda: with_segment(0xE0, b"JFIF\0" + b"/*" + MARK)
        ),
        "jpeg with php in exif": Case(lambda: with_segment(0xE1, b"Exif\0\0" + b"<?php " + MARK)),
        "jpeg behind a jpeg": Case(lambda: jpeg() + jpeg() + MARK),
        "png named as everything": Case(lambda: png() + b"%PDF-1.4" + MARK),
    }


# --- Bombs -------------------------------------------------------------------------------------


def jpeg_that_claims(width: int, height: int) -> bytes:
    data = bytearray(jpeg())
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def text_bomb(kind: bytes) -> bytes:
    packed = zlib.compress(bytes(70_000_000), 9)
    middle = b"\0\0\0\0" if kind == b"iTXt" else b"\0"
    if kind == b"iTXt":
        middle = b"\x01\0\0\0"
    return png()[:33] + png_chunk(kind, b"bomb\0" + middle + packed) + png()[33:]


def many_texts() -> bytes:
    chunk = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 9))
    return png()[:33] + chunk * 500 + png()[33:]


def many_scans(size: int) -> bytes:
    """A progressive JPEG of 60 megapixels that paints the same coarse picture again and again."""
    base = saved(Picture.new("L", (7800, 7800), 128), "JPEG", progressive=True, quality=50)
    start = base.index(b"\xff\xda")
    end = base.index(b"\xff\xc4", start) if b"\xff\xc4" in base[start:] else len(base) - 2
    scan = base[start:end]
    return base[:start] + scan * ((size - len(base)) // len(scan)) + base[end:]


def animated() -> bytes:
    frames = [Picture.new("L", (SIDE, SIDE), shade) for shade in (10, 200)]
    return saved(frames[0], "PNG", save_all=True, append_images=frames[1:])


def rotated(orientation: int) -> bytes:
    exif = Picture.Exif()
    exif[0x0112] = orientation
    return grey(exif=exif)


def notes(count: int, size: int) -> bytes:
    info = PngImagePlugin.PngInfo()
    for number in range(count):
        info.add_text(f"note {number}", "x" * size)
    return grey(pnginfo=info)


def palette_without_colours() -> bytes:
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 3, 0, 0, 0)
    rows = zlib.compress(bytes((SIDE + 1) * SIDE))
    return (
        SIGNATURE + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    )


def png_of(rows: bytes, *, depth: int = 8, kind: int = 0, interlace: int = 0) -> bytes:
    """A PNG of ``SIDE`` x ``SIDE`` pixels around any unpacked bytes."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, depth, kind, 0, 0, interlace)
    packed = png_chunk(b"IDAT", zlib.compress(rows, 9))
    return SIGNATURE + png_chunk(b"IHDR", header) + packed + png_chunk(b"IEND", b"")


def bombs() -> Cases:
    rows = bytes((SIDE + 1) * SIDE)
    return {
        "png of 4 gigapixels": Case(lambda: png_that_claims(65_000, 65_000), "too_many_pixels"),
        "png of 2**31 pixels a side": Case(
            lambda: png_that_claims(2**31 - 1, 2**31 - 1), "too_many_pixels"
        ),
        "png of negative size": Case(lambda: png_that_claims(2**32 - 1, 300), "too_many_pixels"),
        "png without a width": Case(lambda: png_that_claims(0, 300), "corrupt_image"),
        "png of one row": Case(lambda: png_that_claims(30_000, 1), "too_small"),
        "png, black, 100 megapixels": Case(
            lambda: saved(Picture.new("1", (10_000, 10_000)), "PNG"), "too_many_pixels"
        ),
        "jpeg of 4 gigapixels": Case(lambda: jpeg_that_claims(65_500, 65_500), "too_many_pixels"),
        "jpeg without a height": Case(lambda: jpeg_that_claims(300, 0), "corrupt_image"),
        "jpeg that holds less than it claims": Case(lambda: jpeg_that_claims(2000, 2000)),
        "png text bomb (zTXt)": Case(lambda: text_bomb(b"zTXt"), "corrupt_image"),
        "png text bomb (iTXt)": Case(lambda: text_bomb(b"iTXt"), "corrupt_image"),
        "png colour profile bomb (iCCP)": Case(lambda: text_bomb(b"iCCP"), "corrupt_image"),
        "png with 500 small text bombs": Case(many_texts, "corrupt_image"),
        "png with 20,000 notes": Case(lambda: notes(20_000, 10)),
        "png with a note of 10 MB": Case(lambda: notes(1, 10_000_000)),
        "png with 220,000 empty chunks": Case(
            lambda: png()[:33] + png_chunk(b"teST", b"") * 220_000 + png()[33:], "corrupt_image"
        ),
        "png whose pixels unfold beyond its size": Case(lambda: png_of(rows + bytes(50_000_000))),
        "png of too few rows": Case(lambda: png_of(rows[: len(rows) // 2]), "corrupt_image"),
        "png with a filter that does not exist": Case(
            lambda: png_of(b"\x09" + rows[1:]), "corrupt_image"
        ),
        "png of depth 3": Case(lambda: png_of(rows, depth=3), "corrupt_image"),
        "png of kind 5": Case(lambda: png_of(rows, kind=5), "corrupt_image"),
        "png with an unknown interlace": Case(lambda: png_of(rows, interlace=7), "corrupt_image"),
        "png with a palette and no colours": Case(palette_without_colours),
        "png with a wrong checksum": Case(
            lambda: png()[:29] + b"\0\0\0\0" + png()[33:], "corrupt_image"
        ),
        "png with a chunk of 4 GB": Case(
            lambda: png()[:33] + b"\xff\xff\xff\xfftEXt" + png()[33:], "corrupt_image"
        ),
        "png without an end": Case(lambda: png()[:-12]),
        "png that is an animation": Case(animated, "unsupported_type"),
        "png turned in an unknown way": Case(lambda: rotated(77)),
        "png with broken exif": Case(
            lambda: png()[:33] + png_chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff") + png()[33:]
        ),
        "png with exif that points to itself": Case(
            lambda: (
                png()[:33]
                + png_chunk(
                    b"eXIf", b"II*\0\x08\0\0\0" + b"\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0" * 2
                )
                + png()[33:]
            )
        ),
        "jpeg with 5,000 segments": Case(
            lambda: jpeg()[:2] + (b"\xff\xef\x00\x04ab" * 5_000) + jpeg()[2:]
        ),
        "jpeg with 300,000 segments": Case(
            lambda: jpeg()[:2] + (b"\xff\xef\x00\x02" * 300_000) + jpeg()[2:], "corrupt_image"
        ),
        "jpeg with a segment of negative length": Case(
            lambda: jpeg()[:2] + b"\xff\xef\x00\x00" + jpeg()[2:]
        ),
        "jpeg without tables": Case(
            lambda: jpeg().replace(b"\xff\xdb", b"\xff\xef").replace(b"\xff\xc4", b"\xff\xee"),
            "corrupt_image",
        ),
        "jpeg with two frame headers": Case(
            lambda: jpeg()[:2] + jpeg()[jpeg().index(b"\xff\xc0") :][:13] + jpeg()[2:],
            "corrupt_image",
        ),
        "noise behind a png mark": Case(
            lambda: SIGNATURE + np.random.default_rng(1).bytes(50_000), "corrupt_image"
        ),
        "noise behind a jpeg mark": Case(
            lambda: b"\xff\xd8\xff" + np.random.default_rng(2).bytes(50_000), "corrupt_image"
        ),
    }


def cases() -> Cases:
    return broken_off() | other_types() | polyglots() | bombs()
