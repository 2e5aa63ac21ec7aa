"""Opens one small file of each kind, so that nothing has to be loaded once the doors are shut.

A confined decoder can open no file, not even a module of Python: codecs, plugins and character
sets have to be there before. A test holds what a confined decoder sees to what an open one does.
"""

from __future__ import annotations

import codecs
import io
import struct
from importlib import import_module
from typing import Final

import numpy as np
from PIL import Image as Picture
from pydicom import uid
from pydicom.charset import python_encoding
from pydicom.pixels.decoders.base import get_decoder

from ml import imaging
from ml.imaging.dicom import SYNTAXES

SIDE: Final = 64
LIMITS: Final = imaging.Limits(min_side=4)
LATE: Final = ("_strptime", "decimal", "pydicom._private_dict", "unicodedata", "stringprep")
"""Modules that are loaded in the middle of work, and then not for every file."""


def rehearse() -> None:
    """:raises ImagingError: something that decodes files is broken on this machine."""
    for name in LATE:
        import_module(name)
    for encoding in set(python_encoding.values()):
        codecs.lookup(encoding)
    for syntax in SYNTAXES:
        get_decoder(uid.UID(syntax)).is_available  # noqa: B018  (loads the plugins)
    for sample in samples():
        imaging.decode(sample, LIMITS)
        imaging.decode_values(sample, LIMITS)


def samples() -> list[bytes]:
    grey = Picture.fromarray(
        np.arange(SIDE * SIDE, dtype=np.uint32).astype(np.uint8).reshape(SIDE, SIDE)
    )
    colour = grey.convert("RGBA")
    deep = Picture.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    jpeg, wavelets = _saved(grey, "JPEG"), _saved(grey, "JPEG2000")
    rle = struct.pack("<16I", 1, 64, *[0] * 14) + (b"\x3f" + bytes(SIDE)) * SIDE
    plain = np.asarray(grey).tobytes()
    return [
        *(_saved(picture, "PNG") for picture in (grey, colour, deep, grey.convert("P"))),
        jpeg,
        _saved(grey.convert("RGB"), "JPEG", progressive=True),
        _film(uid.ExplicitVRLittleEndian, plain),
        _film(uid.RLELossless, _encapsulated(rle)),
        _film(uid.JPEGBaseline8Bit, _encapsulated(jpeg)),
        _film(uid.JPEG2000Lossless, _encapsulated(wavelets)),
    ]


def _saved(picture: Picture.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _film(syntax: str, pixels: bytes) -> bytes:
    """A film of ``SIDE`` x ``SIDE`` pixels of eight bits (PS3.10 section 7)."""
    meta = _element(0x0002, 0x0010, b"UI", syntax.encode())
    body = _element(0x0008, 0x0005, b"CS", b"ISO_IR 192")
    body += _element(0x0008, 0x0016, b"UI", uid.ComputedRadiographyImageStorage.encode())
    body += _element(0x0008, 0x0020, b"DA", b"20200101")
    body += _element(0x0008, 0x0060, b"CS", b"CR")
    body += _element(0x0028, 0x0002, b"US", struct.pack("<H", 1))
    body += _element(0x0028, 0x0004, b"CS", b"MONOCHROME2 ")
    for tag, value in ((0x0010, SIDE), (0x0011, SIDE), (0x0100, 8), (0x0101, 8), (0x0102, 7)):
        body += _element(0x0028, tag, b"US", struct.pack("<H", value))
    body += _element(0x0028, 0x0103, b"US", struct.pack("<H", 0))
    body += _element(0x0028, 0x1050, b"DS", b"128 ") + _element(0x0028, 0x1051, b"DS", b"250 ")
    length = 0xFFFFFFFF if syntax != uid.ExplicitVRLittleEndian else len(pixels)
    body += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, length) + pixels
    return bytes(128) + b"DICM" + meta + body


def _element(group: int, element: int, kind: bytes, value: bytes) -> bytes:
    value += (b"\0" if kind == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", group, element, kind, len(value)) + value


def _encapsulated(frame: bytes) -> bytes:
    frame += b"\0" * (len(frame) % 2)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, len(frame))
    return items + frame + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
