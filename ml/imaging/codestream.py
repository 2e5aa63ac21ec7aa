"""What a compressed DICOM frame says of its own size, read from its markers without decoding it.

A decoder believes the codestream, not the DICOM header; so a small promise around a huge codestream
must be found out beforehand.
"""

from __future__ import annotations

import struct

Extent = tuple[int, int, int]
"""Width, height, components."""

JPEG_FRAME_MARKERS = frozenset(
    (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
)
"""Start of frame: all Huffman and arithmetic JPEGs, and JPEG-LS."""
JPEG_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD9)))
JPEG2000_START = b"\xff\x4f\xff\x51"
RLE_HEADER_BYTES = 64


def jpeg_extent(frame: bytes) -> Extent | None:
    """Width, height and components of a JPEG or JPEG-LS codestream, or None when it has no frame
    header."""
    place = 2
    if frame[:2] != b"\xff\xd8":
        return None
    while place + 4 <= len(frame):
        if frame[place] != 0xFF:
            return None
        marker = frame[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in JPEG_BARE_MARKERS:
            place += 2
        elif marker in JPEG_FRAME_MARKERS:
            if place + 10 > len(frame):
                return None
            height, width, components = struct.unpack_from(">HHB", frame, place + 5)
            return width, height, components
        else:
            place += 2 + max(2, struct.unpack_from(">H", frame, place + 2)[0])
    return None


def jpeg2000_extent(frame: bytes) -> Extent | None:
    """Width, height and components of a JPEG 2000 codestream, in a JP2 box or bare, or None."""
    start = frame.find(JPEG2000_START, 0, 4096)
    if start < 0 or start + 42 > len(frame):
        return None
    right, lower, left, upper = struct.unpack_from(">IIII", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    return right - left, lower - upper, components


def rle_fits(frame: bytes, pixels: int, planes: int) -> bool:
    """Whether each byte plane of an RLE frame unfolds to the promised number of bytes, give or take
    padding.

    Counts without unfolding, and stops as soon as there is too much.
    """
    if len(frame) < RLE_HEADER_BYTES:
        return False
    count, *offsets = struct.unpack_from("<16I", frame)
    if count != planes or not all(
        RLE_HEADER_BYTES <= offset <= len(frame) for offset in offsets[:count]
    ):
        return False
    ends = [*offsets[1:count], len(frame)]
    return all(
        start < end and _unfolded(frame, start, end, pixels) == pixels
        for start, end in zip(offsets[:count], ends, strict=True)
    )


def _unfolded(frame: bytes, start: int, end: int, enough: int) -> int:
    place, total = start, 0
    while place < end and total < enough:
        head = frame[place]
        if head < 128:
            place += head + 2
            total += head + 1
        elif head > 128:
            place += 2
            total += 257 - head
        else:
            place += 1
    rest = end - place
    # a run may not cross the end, and what is left over may only be padding
    return total if place <= end and rest <= 2 else -1
