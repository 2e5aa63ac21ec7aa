"""Whether a PNG holds all of the rows that its header promises.

Pillow takes a stream of pixels that ends early for a picture whose last rows are black: half an
X-ray would pass for a whole one. So the stream is unfolded and counted beforehand, at the price of
unfolding it twice. PNG specification (third edition), sections 4.5, 8 and 11.2.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples a pixel of each colour type."""
ADAM7: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column and row, and steps between columns and rows, of each pass."""
FIRST_CHUNK: Final = 8
PIECE: Final = 1024 * 1024


def rows_are_complete(png: bytes) -> bool:
    """Whether the pixels unfold to as many bytes as the header needs; the rest is not looked at.

    :raises ValueError, LookupError, struct.error, zlib.error: this is no sound PNG.
    """
    wanted = _unfolded_bytes(png)
    unfolder = zlib.decompressobj()
    place = FIRST_CHUNK
    while wanted > 0 and place + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        if kind == b"IDAT":
            left = png[place + 8 : place + 8 + length]
            while left and wanted > 0:
                wanted -= len(unfolder.decompress(left, PIECE))
                left = unfolder.unconsumed_tail
        place += 12 + length
    while wanted > 0 and not unfolder.eof:
        more = unfolder.decompress(b"", PIECE)
        if not more:
            break
        wanted -= len(more)
    return wanted <= 0


def _unfolded_bytes(png: bytes) -> int:
    width, height, depth, colours, _, _, interlaced = struct.unpack_from(">IIBBBBB", png, 16)
    bits = depth * SAMPLES[colours]
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for column, row, right, down in passes:
        columns, rows = -(-(width - column) // right), -(-(height - row) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
