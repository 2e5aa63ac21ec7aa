"""The door to the decoders: the only place of the portal that has a file's content opened.

Whatever a file does in there, it does to a process that has nothing (``studies.decoder``). What
comes back has been checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from django.conf import settings

from ml.imaging import (
    DEFAULT_LIMITS,
    DecodedImage,
    GreyValues,
    ImageHeader,
    Limits,
    StoredPicture,
)
from screening.studies.decoder import wire
from screening.studies.decoder.pool import Pool, close, pool
from screening.studies.decoder.process import Opened, Trouble, TroubleCode

__all__ = [
    "Look",
    "Trouble",
    "TroubleCode",
    "close",
    "decode",
    "decode_stored",
    "decode_values",
    "look",
    "the_pool",
]


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a first look at a file shows.

    ``grey`` is (h, w) uint8 as displayed. ``stated`` is whom a film names (``wire.STATED``), as
    the file has it: for the sender's eyes, never to be stored or logged.
    """

    header: ImageHeader
    grey: npt.NDArray[np.uint8]
    stated: Mapping[str, str]


def look(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Look:
    """Open a file that has just arrived.

    :raises ImagingError: the file is refused.
    :raises Trouble: it was not opened for another reason.
    """

    def read(seen: Opened) -> Look:
        return Look(seen.header, seen.pixels, wire.stated_from(seen.said.get("stated")))

    return the_pool().open_file(data, "look", limits, read)


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> DecodedImage:
    """``ml.imaging.decode``, in a decoder; the very same values.

    :raises ImagingError: the file is refused.
    :raises Trouble: it was not opened for another reason.
    """

    def read(seen: Opened) -> DecodedImage:
        colours = wire.colourfulness_from(seen.said.get("colourfulness"))
        return DecodedImage(seen.pixels, seen.header, colours)

    return the_pool().open_file(data, "picture", limits, read)


def decode_values(data: bytes, limits: Limits = DEFAULT_LIMITS) -> GreyValues:
    """``ml.imaging.decode_values``, in a decoder; the very same values.

    :raises ImagingError: the file is refused.
    :raises Trouble: it was not opened for another reason.
    """

    def read(seen: Opened) -> GreyValues:
        return wire.grey_values_from(seen.said.get("values"), seen.header, seen.pixels)

    return the_pool().open_file(data, "values", limits, read)


def decode_stored(data: bytes, limits: Limits = DEFAULT_LIMITS) -> StoredPicture:
    """``ml.imaging.decode_stored``, in a decoder; the very same values.

    :raises ImagingError: the file is refused.
    :raises Trouble: it was not opened for another reason.
    """

    def read(seen: Opened) -> StoredPicture:
        return StoredPicture(seen.pixels, seen.header)

    return the_pool().open_file(data, "stored", limits, read)


def the_pool() -> Pool:
    """The decoders of this process, which the settings of its first file made."""
    return pool(
        size=settings.DECODERS,
        memory_bytes=settings.DECODER_MEMORY_MB * 1024 * 1024,
        patience_s=settings.DECODE_TIMEOUT_S,
    )
