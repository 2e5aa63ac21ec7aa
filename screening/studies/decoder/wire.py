"""What portal and decoder say to each other: short JSON messages, and memory for everything long.

Files and pixels travel as sealed memory (``memfd_create``), whose descriptor goes along with a
message: what is sealed can neither shrink nor change under whoever reads it. What a decoder says
is not believed: ``header_from`` and its neighbours raise ``Untrue`` for anything that a sound
decoder would never say.
"""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import os
import re
import socket
from dataclasses import asdict
from datetime import date
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt

from ml.imaging import MESSAGES, Code, GreyValues, ImageHeader, Limits, Window
from ml.imaging.base import SpacingKind
from ml.imaging.values import FUNCTIONS, MOST_WINDOWS, VoiFunction

Wish = Literal["look", "picture", "values", "stored"]
"""``look``: 256 greys and whom the file names. ``picture``: greys as the model sees them.
``values``: what a viewer needs. ``stored``: a film's values as its file has them."""

LONGEST_MESSAGE: Final = 65_536
STATED: Final = ("PatientID", "PatientName", "PatientBirthDate")
LONGEST_STATED: Final = 1024
TYPES: Final[dict[Wish, tuple[str, ...]]] = {
    "look": ("|u1",),
    "picture": ("<f4",),
    "values": ("|u1", "<u2", "<i2", "<f4"),
    "stored": ("|u1", "|i1", "<u2", "<i2"),
}

F_ADD_SEALS: Final = 1033
F_GET_SEALS: Final = 1034
SEAL_SIZE: Final = 0x0002 | 0x0004
SEAL_CONTENT: Final = 0x0008

_WORD: Final = re.compile(r"[A-Z0-9_ ]{0,16}")
_UID: Final = re.compile(r"[0-9.]{0,64}")
_FORMATS: Final = ("png", "jpeg", "dicom")
_SPACING_KINDS: Final = ("", "calibrated", "detector", "unstated")


class Untrue(Exception):
    """A decoder said what a sound one never says."""


# --- Messages ----------------------------------------------------------------------------------


def send(link: socket.socket, message: dict[str, Any], *descriptors: int) -> None:
    socket.send_fds(link, [json.dumps(message).encode()], list(descriptors))


def receive(link: socket.socket, most_descriptors: int = 0) -> tuple[dict[str, Any], list[int]]:
    """The next message and the descriptors that came with it.

    :raises EOFError: the other side is gone.
    :raises Untrue: what came is no message.
    """
    text, descriptors, flags, _ = socket.recv_fds(link, LONGEST_MESSAGE, most_descriptors)
    if not text:
        raise EOFError
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise Untrue("too long")
        message = json.loads(text)
        if not isinstance(message, dict):
            raise Untrue("no message")
    except (Untrue, ValueError, RecursionError):
        for descriptor in descriptors:
            os.close(descriptor)
        raise Untrue("no message") from None
    return message, descriptors


# --- Memory ------------------------------------------------------------------------------------


def memory_of(data: bytes) -> int:
    """Sealed memory that holds ``data``; the caller closes the descriptor."""
    descriptor = os.memfd_create("file", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        seal(descriptor, SEAL_SIZE | SEAL_CONTENT)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def empty_memory(size: int) -> int:
    """Memory of ``size`` bytes to be written to; it keeps its size whoever holds it."""
    descriptor = os.memfd_create("pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        seal(descriptor, SEAL_SIZE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def seal(descriptor: int, seals: int) -> None:
    """:raises OSError: somebody could still write to what is to be sealed."""
    fcntl.fcntl(descriptor, F_ADD_SEALS, seals)


def read_memory(descriptor: int) -> bytes:
    with _sealed(descriptor, os.fstat(descriptor).st_size) as whole:
        return bytes(whole)


def _sealed(descriptor: int, size: int) -> mmap.mmap:
    """Private, since Linux before 6.7 shares no sealed memory; nobody writes to it either way."""
    return mmap.mmap(
        descriptor, size, flags=mmap.MAP_PRIVATE | mmap.MAP_POPULATE, prot=mmap.PROT_READ
    )


def write_memory(descriptor: int, values: npt.NDArray[Any]) -> None:
    with mmap.mmap(descriptor, values.nbytes, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE) as whole:
        view = np.frombuffer(whole, dtype=values.dtype).reshape(values.shape)
        view[...] = values
        del view  # Memory that is looked at can't be closed.


def array_in(descriptor: int, kind: str, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """The array in sealed memory, read-only and not copied; it lives as long as it is used."""
    size = shape[0] * shape[1] * np.dtype(kind).itemsize
    whole = _sealed(descriptor, size)
    return np.frombuffer(whole, dtype=np.dtype(kind)).reshape(shape)


# --- What a decoder says -----------------------------------------------------------------------


def as_message(header: ImageHeader) -> dict[str, Any]:
    found = asdict(header)
    found["taken_on"] = header.taken_on.isoformat() if header.taken_on is not None else None
    return found


def header_from(found: Any, limits: Limits) -> ImageHeader:
    """:raises Untrue: see this module."""
    said = _fields(found, frozenset(ImageHeader.__dataclass_fields__))
    header = ImageHeader(
        format=cast(Any, _one_of(said["format"], _FORMATS)),
        width=_whole(said["width"], 1, limits.max_pixels),
        height=_whole(said["height"], 1, limits.max_pixels),
        frames=_whole(said["frames"], 1, 1),
        bits_stored=_whole(said["bits_stored"], 1, 16),
        photometric=_matches(said["photometric"], _WORD),
        modality=_matches(said["modality"], _WORD),
        sop_class_uid=_matches(said["sop_class_uid"], _UID),
        transfer_syntax_uid=_matches(said["transfer_syntax_uid"], _UID),
        view_position=_matches(said["view_position"], _WORD),
        laterality=_matches(said["laterality"], _WORD),
        body_part=_matches(said["body_part"], _WORD),
        study_uid=_matches(said["study_uid"], _UID),
        series_uid=_matches(said["series_uid"], _UID),
        sop_uid=_matches(said["sop_uid"], _UID),
        taken_on=_day(said["taken_on"]),
        pixel_spacing=_pair(said["pixel_spacing"]),
        spacing_kind=cast(SpacingKind, _one_of(said["spacing_kind"], _SPACING_KINDS)),
    )
    if header.width * header.height > limits.max_pixels or (
        min(header.width, header.height) < limits.min_side
    ):
        raise Untrue("extent")
    spacing = header.pixel_spacing
    if spacing is not None and not all(0 < side < 100 for side in spacing):
        raise Untrue("spacing")
    return header


def grey_values_as_message(found: GreyValues) -> dict[str, Any]:
    return {
        "windows": [[window.centre, window.width] for window in found.windows],
        "minimum": found.minimum,
        "maximum": found.maximum,
        "function": found.function,
        "inverted": found.inverted,
        "curve": found.curve,
        "slope": found.slope,
        "intercept": found.intercept,
        "padding": found.padding,
        "from_file": found.from_file,
    }


def grey_values_from(found: Any, header: ImageHeader, values: npt.NDArray[Any]) -> GreyValues:
    """:raises Untrue: see this module."""
    said = _fields(found, frozenset(GreyValues.__dataclass_fields__) - {"values", "header"})
    windows = said["windows"]
    if not isinstance(windows, list) or not 1 <= len(windows) <= MOST_WINDOWS:
        raise Untrue("windows")
    pairs = [_pair(window) for window in windows]
    return GreyValues(
        values=values,
        header=header,
        windows=tuple(Window(*pair) for pair in pairs if pair is not None),
        minimum=_number(said["minimum"]),
        maximum=_number(said["maximum"]),
        function=cast(VoiFunction, _one_of(said["function"], FUNCTIONS)),
        inverted=_truth(said["inverted"]),
        curve=_truth(said["curve"]),
        slope=_number(said["slope"]),
        intercept=_number(said["intercept"]),
        padding=_pair(said["padding"]),
        from_file=_truth(said["from_file"]),
    )


def stated_from(found: Any) -> dict[str, str]:
    """:raises Untrue: see this module."""
    said = _fields(found, frozenset(STATED))
    for text in said.values():
        if not isinstance(text, str) or len(text) > LONGEST_STATED:
            raise Untrue("names")
    return said


def array_of(said: dict[str, Any], wish: Wish, header: ImageHeader) -> tuple[str, int]:
    """Type and size in bytes of the array that is to come, (height, width) of the header.

    :raises Untrue: see this module.
    """
    kind = _one_of(said.get("type"), TYPES[wish])
    return kind, header.width * header.height * np.dtype(kind).itemsize


def refusal_from(code: Any) -> Code:
    """:raises Untrue: see this module."""
    return cast(Code, _one_of(code, tuple(MESSAGES)))


def colourfulness_from(found: Any) -> float:
    """:raises Untrue: see this module."""
    share = _number(found)
    if not 0.0 <= share <= 1.0:
        raise Untrue("colours")
    return share


def _fields(found: Any, names: frozenset[str]) -> dict[str, Any]:
    if not isinstance(found, dict) or set(found) != names:
        raise Untrue("fields")
    return found


def _whole(value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise Untrue("a number")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise Untrue("a number")
    return float(value)


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise Untrue("a truth value")
    return value


def _pair(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise Untrue("a pair")
    return _number(value[0]), _number(value[1])


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise Untrue("a word")
    return value


def _matches(value: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Untrue("a word")
    return value


def _day(value: Any) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Untrue("a day") from None
