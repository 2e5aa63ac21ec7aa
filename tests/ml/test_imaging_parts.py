"""Files of next to no pixels and countless parts: refused before they cost time and memory."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from ml.imaging import ImagingError, decode
from ml.imaging.base import MOST_READS
from ml.phantom import encode_dicom
from tests.ml.dicoms import TINY, ramp

MANY = MOST_READS
PIXELS = b"\xe0\x7f\x10\x00"
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
LAST = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
ENDLESS = 0xFFFFFFFF


def sequence(group: int, element: int, items: bytes, length: int) -> bytes:
    return struct.pack("<HH2sHI", group, element, b"SQ", 0, length) + items


def many_items() -> bytes:
    return sequence(0x5001, 0x1010, ITEM * MANY + LAST, ENDLESS)


def many_elements() -> bytes:
    return b"".join(
        struct.pack("<HH2sH", 0x5001 + 2 * (n // 0xE000), 0x1000 + n % 0xE000, b"LO", 0)
        for n in range(MANY)
    )


def before_the_pixels(parts: bytes, data: bytes) -> bytes:
    place = data.rindex(PIXELS)
    return data[:place] + parts + data[place:]


def radiograph() -> bytes:
    return encode_dicom(ramp(12, 16), syntax="explicit", window=(2000, 3000))


def refused(data: bytes) -> str:
    with pytest.raises(ImagingError) as caught:
        decode(data, TINY)  # reads the header first
    return caught.value.code


@pytest.mark.parametrize("parts", [many_items, many_elements])
def test_a_dicom_of_countless_parts(parts: Callable[[], bytes]) -> None:
    assert refused(before_the_pixels(parts(), radiograph())) == "corrupt_image"


def test_a_few_kilobytes_that_unfold_to_countless_items() -> None:
    data = encode_dicom(ramp(12, 16), syntax="deflated", window=(2000, 3000))
    start = 132 + 12 + struct.unpack_from("<I", data, 140)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = before_the_pixels(many_items(), zlib.decompress(data[start:], -zlib.MAX_WBITS))
    packed = data[:start] + packer.compress(body) + packer.flush()
    assert len(packed) < 20_000
    assert refused(packed) == "corrupt_image"


def test_a_number_that_is_a_sequence_of_countless_items() -> None:
    data = radiograph()
    place = data.index(b"\x28\x00\x10\x00US")
    rows = sequence(0x28, 0x10, ITEM * MANY, len(ITEM) * MANY)
    assert refused(data[:place] + rows + data[place + 10 :]) == "corrupt_image"


def test_a_lookup_table_of_countless_items() -> None:
    table = sequence(0x28, 0x3010, ITEM * MANY, len(ITEM) * MANY)
    assert refused(before_the_pixels(table, radiograph())) == "corrupt_image"


def test_a_long_private_element_does_no_harm() -> None:
    length = 3 * 1024 * 1024
    private = struct.pack("<HH2sHI", 0x5001, 0x1010, b"OB", 0, length) + bytes(length)
    plain, longer = radiograph(), before_the_pixels(private, radiograph())
    assert np.array_equal(decode(longer, TINY).pixels, decode(plain, TINY).pixels)


def test_a_codestream_in_countless_fragments() -> None:
    data = encode_dicom(ramp(12, 64), syntax="jpeg2000")
    place = data.rindex(ITEM[:4])
    assert decode(data[:place] + ITEM * 50 + data[place:], TINY).pixels.shape == (64, 64)
    assert refused(data[:place] + ITEM * MANY + data[place:]) == "corrupt_image"


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((16, 16), 99, dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


def test_a_jpeg_of_countless_comments() -> None:
    data = encoded("JPEG")
    assert refused(data[:2] + b"\xff\xfe\x00\x02" * MANY + data[2:]) == "corrupt_image"


def test_a_png_of_countless_chunks() -> None:
    data = encoded("PNG")
    chunk = struct.pack(">I4sI", 0, b"prVt", zlib.crc32(b"prVt"))
    assert refused(data[:33] + chunk * MANY + data[33:]) == "corrupt_image"
