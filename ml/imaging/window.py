"""From stored DICOM values to displayed greys: rescale, then window or lookup table, then polarity.

DICOM PS3.3 C.11.1 (modality), C.11.2 (values of interest) and C.7.6.3.1.2 (photometric
interpretation).
"""

from __future__ import annotations

import math
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from ml.imaging.base import FloatArray

FLAT: Final = 1e-6


def display(stored: npt.NDArray[Any], dataset: Any) -> FloatArray:
    """The greys that a viewer shows, (h, w) float32 in [0, 1], white is dense.

    Where the file has neither a lookup table nor a usable window, the full range of its values is
    shown. Padding around the picture never takes part in that range and is black.

    :raises ValueError: when the file's numbers make no sense.
    """
    padding = _padding(stored, dataset)
    values = _rescale(stored, dataset)
    greys = _through_lut(values, dataset)
    if greys is None:
        greys = _through_window(values, dataset)
    if greys is None or _is_flat(greys, padding):
        greys = _full_range(values, padding)
    if str(dataset.PhotometricInterpretation) == "MONOCHROME1":
        np.subtract(np.float32(1.0), greys, out=greys)
    if padding is not None:
        greys[padding] = 0.0
    return greys


def _padding(stored: npt.NDArray[Any], dataset: Any) -> npt.NDArray[np.bool_] | None:
    first = dataset.get("PixelPaddingValue")
    if not isinstance(first, int):
        return None
    last = dataset.get("PixelPaddingRangeLimit", first)
    low, high = sorted((first, last if isinstance(last, int) else first))
    mask = (stored >= low) & (stored <= high)
    return mask if mask.any() and not mask.all() else None


def _rescale(stored: npt.NDArray[Any], dataset: Any) -> FloatArray:
    table = sequence_item(dataset, "ModalityLUTSequence")
    if table is not None:
        return look_up(stored.astype(np.float32), table)
    slope = number(dataset.get("RescaleSlope"), 1.0) or 1.0
    intercept = number(dataset.get("RescaleIntercept"), 0.0)
    values = stored.astype(np.float32)
    if slope != 1.0:
        values *= np.float32(slope)
    if intercept != 0.0:
        values += np.float32(intercept)
    return values


def _through_lut(values: FloatArray, dataset: Any) -> FloatArray | None:
    table = sequence_item(dataset, "VOILUTSequence")
    if table is None:
        return None
    greys = look_up(values, table)
    bits = min(16, max(1, int(table.LUTDescriptor[2])))
    greys /= np.float32(2**bits - 1)
    return np.clip(greys, 0.0, 1.0, out=greys)


def look_up(values: FloatArray, table: Any) -> FloatArray:
    count, first, bits = (int(v) for v in table.LUTDescriptor)
    count = count or 65536
    entries = table.LUTData
    # eight-bit tables may be stored as a string of bytes or padded to words
    if isinstance(entries, bytes):
        entries = np.frombuffer(
            entries, dtype=np.uint8 if bits <= 8 and len(entries) < 2 * count else "<u2"
        )
    ramp = np.asarray(entries, dtype=np.float32).ravel()[:count]
    if ramp.size != count:
        raise ValueError("the lookup table is incomplete")
    places = np.clip(values - np.float32(first), 0, count - 1).astype(np.int32)
    return cast(FloatArray, ramp[places])


def _through_window(values: FloatArray, dataset: Any) -> FloatArray | None:
    centre = number(_first(dataset.get("WindowCenter")), math.nan)
    width = number(_first(dataset.get("WindowWidth")), math.nan)
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if (
        not (math.isfinite(centre) and math.isfinite(width))
        or width <= 0
        or (function == "LINEAR" and width < 1)
    ):
        return None
    if function == "SIGMOID":
        exponent = np.clip(np.float32(-4.0 / width) * (values - np.float32(centre)), -80.0, 80.0)
        return cast(FloatArray, np.float32(1.0) / (np.float32(1.0) + np.exp(exponent)))
    if function == "LINEAR_EXACT":
        greys = (values - np.float32(centre)) / np.float32(width) + np.float32(0.5)
    elif width == 1:
        greys = (values > np.float32(centre - 0.5)).astype(np.float32)
    else:
        greys = (values - np.float32(centre - 0.5)) / np.float32(width - 1.0) + np.float32(0.5)
    return np.clip(greys, 0.0, 1.0, out=greys)


def _full_range(values: FloatArray, padding: npt.NDArray[np.bool_] | None) -> FloatArray:
    inside = values if padding is None else values[~padding]
    low, high = float(inside.min()), float(inside.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("values out of range")
    if high <= low:
        return np.zeros_like(values)
    greys = (values - np.float32(low)) / np.float32(high - low)
    return np.clip(greys, 0.0, 1.0, out=greys)


def _is_flat(greys: FloatArray, padding: npt.NDArray[np.bool_] | None) -> bool:
    """A window that leaves one single grey was written by mistake: better shown at full range than
    not at all."""
    inside = greys if padding is None else greys[~padding]
    return float(inside.max()) - float(inside.min()) < FLAT


def sequence_item(dataset: Any, keyword: str) -> Any | None:
    items = dataset.get(keyword)
    return items[0] if items else None


def _first(value: Any) -> Any:
    """The first of several windows is the one a viewer opens with."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    try:
        return value[0]
    except (TypeError, IndexError):
        return value


def number(value: Any, default: float) -> float:
    if value is None or value == "":
        return default
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number
