"""Whatever the bytes, the gate either decodes or refuses: nothing else comes out of it."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.imaging import ImagingError, Limits, decode, read_header
from ml.phantom import encode_dicom, phantom_jpeg, phantom_png
from tests.ml.dicoms import ramp

LIMITS = Limits(min_side=4, max_pixels=1_000_000)
SIZE = (64, 64)
SEEDS = [
    phantom_png(1, "normal", SIZE),
    phantom_png(1, "normal", SIZE, bits=16),
    phantom_jpeg(1, "normal", SIZE),
    *(
        encode_dicom(ramp(12, 64), syntax=syntax, window=(2000, 3000), rescale=(1, -5))
        for syntax in ("implicit", "explicit", "big_endian", "deflated", "rle", "jpeg2000")
    ),
]


def check(data: bytes) -> None:
    try:
        header = read_header(data, LIMITS)
    except ImagingError:
        header = None
    try:
        decoded = decode(data, LIMITS)
    except ImagingError:
        return
    assert header == decoded.header
    assert decoded.pixels.shape == (decoded.header.height, decoded.header.width)
    assert decoded.pixels.dtype == np.float32
    assert decoded.pixels.min() >= 0.0
    assert decoded.pixels.max() <= 1.0
    assert 0.0 <= decoded.colourfulness <= 1.0


quietly = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@quietly
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    check(data)


@quietly
@given(
    st.binary(max_size=300),
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0" * 128 + b"DICM"]),
)
def test_any_bytes_behind_a_good_mark(data: bytes, mark: bytes) -> None:
    check(mark + data)


@quietly
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_changed_bytes(data: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    check(bytes(changed))


@quietly
@given(
    st.sampled_from(SEEDS),
    st.integers(0, 700),
    st.binary(max_size=12),
    st.integers(0, 12),
)
def test_headers_with_bytes_put_in_or_taken_out(
    data: bytes, place: int, added: bytes, removed: int
) -> None:
    check(data[:place] + added + data[place + removed :])


@quietly
@given(st.sampled_from(SEEDS), st.floats(0.0, 1.0))
def test_files_that_break_off(data: bytes, part: float) -> None:
    check(data[: int(len(data) * part)])
