"""The values of a picture as its file has them, and what the file says about showing them.

``ml.imaging.window`` makes the greys that a model sees; a person at a viewer moves the window, and
so needs what lies outside it. Both follow DICOM PS3.3 C.11.1 (modality), C.11.2 (values of
interest) and C.7.6.3.1.2 (photometric interpretation), and a test holds them to each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from ml.imaging.base import ImageHeader
from ml.imaging.window import FLAT, look_up, number, sequence_item

VoiFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
FUNCTIONS: Final[tuple[VoiFunction, ...]] = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
MOST_WINDOWS: Final = 16
WHOLE_TYPES: Final = ("u1", "<u2", "<i2")
"""Little-endian whole numbers that a viewer takes, the smallest first."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window of DICOM: centre and width in values after the modality transformation."""

    centre: float
    width: float


@dataclass(frozen=True, slots=True, eq=False)
class GreyValues:
    """A picture before any window.

    ``values`` is (h, w) of one of ``WHOLE_TYPES`` or float32, little-endian: what the file stores
    after its rescale or modality lookup table, and after its VOI lookup table where it has one
    (``curve``). Polarity is not applied: with ``inverted`` the lowest value is white.
    """

    values: npt.NDArray[Any]
    header: ImageHeader
    windows: tuple[Window, ...]
    """Those of the file in its order; one over the whole range where it has none that can be used.
    A viewer opens with the first."""
    minimum: float
    """Of what is not padding."""
    maximum: float
    function: VoiFunction = "LINEAR"
    inverted: bool = False
    curve: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    padding: tuple[float, float] | None = None
    """Values from and to which lie around the picture; a viewer shows them black."""
    from_file: bool = field(default=False)
    """Whether the windows are the file's own."""


def whole_range(low: float, high: float) -> Window:
    """The linear window that shows ``low`` black and ``high`` white."""
    return Window((low + high + 1.0) / 2.0, high - low + 1.0)


def grey_values(stored: npt.NDArray[Any], dataset: Any, header: ImageHeader) -> GreyValues:
    """The values of a DICOM file.

    :param stored: (h, w) whole numbers as decoded.
    :raises ValueError: when the file's numbers make no sense.
    """
    slope, intercept = 1.0, 0.0
    table = sequence_item(dataset, "ModalityLUTSequence")
    padding = _padding(stored, dataset)
    if table is not None:
        values = _narrow(look_up(stored.astype(np.float32), table))
        padding = None  # its values are the table's now
    else:
        slope = number(dataset.get("RescaleSlope"), 1.0) or 1.0
        intercept = number(dataset.get("RescaleIntercept"), 0.0)
        values = _rescaled(stored, slope, intercept)
        if padding is not None:
            low, high = sorted(edge * slope + intercept for edge in padding)
            padding = (low, high)
    low, high = _extent(values, padding)
    windows, function = _windows(dataset, low, high)
    from_file = bool(windows)
    curve = False
    voi = sequence_item(dataset, "VOILUTSequence")
    if voi is not None:
        shown = _narrow(look_up(values.astype(np.float32), voi))
        lowest, highest = float(shown.min()), float(shown.max())
        curve = lowest < highest  # one that leaves a single grey was written by mistake
        if curve:
            bits = min(16, max(1, int(voi.LUTDescriptor[2])))
            values, low, high, padding = shown, lowest, highest, None
            windows, function = (whole_range(0, 2**bits - 1),), "LINEAR"
    return GreyValues(
        values=values,
        header=header,
        windows=windows or (whole_range(low, max(high, low + 1.0)),),
        minimum=low,
        maximum=high,
        function=function,
        inverted=header.photometric == "MONOCHROME1",
        curve=curve,
        slope=slope,
        intercept=intercept,
        padding=padding,
        from_file=from_file or curve,
    )


def _padding(stored: npt.NDArray[Any], dataset: Any) -> tuple[float, float] | None:
    """The stored values around the picture, where there are any."""
    edge = dataset.get("PixelPaddingValue")
    if not isinstance(edge, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit", edge)
    low, high = sorted((edge, limit if isinstance(limit, int) else edge))
    inside = (stored >= low) & (stored <= high)
    return (float(low), float(high)) if inside.any() and not inside.all() else None


def _rescaled(stored: npt.NDArray[Any], slope: float, intercept: float) -> npt.NDArray[Any]:
    if slope == 1.0 and intercept == 0.0:
        return stored.astype(_whole_type(int(stored.min()), int(stored.max())), copy=False)
    if slope.is_integer() and intercept.is_integer():
        ends = [int(end) * int(slope) + int(intercept) for end in (stored.min(), stored.max())]
        kind = _whole_type(min(ends), max(ends))
        if kind:
            moved = stored.astype(np.int64)
            moved *= int(slope)
            moved += int(intercept)
            return moved.astype(kind)
    values = stored.astype(np.float64)
    values *= slope
    values += intercept
    narrow = values.astype("<f4")
    if not np.isfinite(narrow).all():
        raise ValueError("values out of range")
    return narrow


def _whole_type(low: int, high: int) -> str | None:
    for kind in WHOLE_TYPES:
        span = np.iinfo(kind)
        if span.min <= low and high <= span.max:
            return kind
    return None


def _narrow(values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """What a lookup table gave, as the smallest whole numbers that hold it."""
    kind = _whole_type(int(values.min()), int(values.max()))
    return values.astype(kind or "<f4")


def _extent(values: npt.NDArray[Any], padding: tuple[float, float] | None) -> tuple[float, float]:
    inside = values
    if padding is not None:
        around = (values >= padding[0]) & (values <= padding[1])
        inside = values[~around] if not around.all() else values
    return float(inside.min()), float(inside.max())


def _windows(dataset: Any, low: float, high: float) -> tuple[tuple[Window, ...], VoiFunction]:
    """The file's windows that show anything at all of values between ``low`` and ``high``."""
    name = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    function: VoiFunction = name if name in FUNCTIONS else "LINEAR"
    found = []
    pairs = zip(_several(dataset, "WindowCenter"), _several(dataset, "WindowWidth"), strict=False)
    for centre, width in list(pairs)[:MOST_WINDOWS]:
        usable = math.isfinite(centre) and math.isfinite(width) and width > 0
        if not usable or (function == "LINEAR" and width < 1):
            continue
        window = Window(centre, width)
        if grey(high, window, function) - grey(low, window, function) >= FLAT:
            found.append(window)
    return tuple(found), function if found else "LINEAR"


def _several(dataset: Any, keyword: str) -> list[float]:
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    many = [value] if isinstance(value, (str, int, float)) else list(value)
    return [number(one, math.nan) for one in many]


def grey(value: float, window: Window, function: VoiFunction) -> float:
    """The grey in [0, 1] of one value, before polarity."""
    if function == "SIGMOID":
        exponent = -4.0 * (value - window.centre) / window.width
        return 1.0 / (1.0 + math.exp(min(80.0, max(-80.0, exponent))))
    if function == "LINEAR_EXACT":
        share = (value - window.centre) / window.width + 0.5
    elif window.width == 1:
        share = float(value > window.centre - 0.5)
    else:
        share = (value - (window.centre - 0.5)) / (window.width - 1.0) + 0.5
    return min(1.0, max(0.0, share))
