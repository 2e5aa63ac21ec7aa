"""Exchanging what surrounds the lungs: does an answer stay when the rest is another patient's?

The shortcut meter's marks are put to the test with it. The lungs' rectangle of one picture is set
into a picture of another class, which is moved and scaled so that its own lungs lay there. An
answer that rests on the lungs stays; one that rests on the collection, the body or the border
goes. The seams cost something too, and pictures of the same class as surroundings tell how much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ml import CLASSES
from ml.imaging import DecodedImage
from ml.lungs import BoolArray, extent, resize_mask
from ml.predict import Prediction, Predictor
from ml.preprocess import FloatArray, resize_square
from ml.shortcut import Probe, ShortcutReading, around, widen

Labels = npt.NDArray[np.int64]

SEED: Final = 20200211
SEAM: Final = 3.0
"""Pixels over which one picture fades into the other."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One picture in foreign surroundings."""

    stayed: bool
    """Whether the answer stayed in surroundings of another class."""
    went_over: bool
    """Whether it became the class of the surroundings."""
    stayed_at_home: bool
    """Whether it stayed in surroundings of its own class, from another patient."""


def swap_all(
    predictor: Predictor,
    images: Sequence[DecodedImage],
    answers: Sequence[Prediction],
    probes: Sequence[Probe],
    labels: Labels,
) -> list[Swap | None]:
    """Put every picture into two others, drawn with a fixed seed; None where lungs are not found
    or nobody else is there.
    """
    size = predictor.package.size
    if predictor.package.view == "lungs":
        size *= 2  # the lungs are cut out again, and have to be as sharp as they were learned
    squares = [resize_square(image.pixels, size) for image in images]
    boxes = [_box_of(one, size) for one in probes]
    usable = np.array([box is not None for box in boxes])
    rng = np.random.default_rng(SEED)
    results: list[Swap | None] = []
    for number, box in enumerate(boxes):
        own = usable & (labels == labels[number])
        own[number] = False
        foreign = usable & (labels != labels[number])
        if box is None or not own.any() or not foreign.any():
            results.append(None)
            continue
        # the class first, so that a rare one surrounds as often as a common one
        other = int(rng.choice(np.unique(labels[foreign])))
        hosts = (
            int(rng.choice(np.flatnonzero(usable & (labels == other)))),
            int(rng.choice(np.flatnonzero(own))),
        )
        seen = []
        for host in hosts:
            host_box = boxes[host]
            if host_box is None:
                raise RuntimeError("a host without lungs was drawn")
            mixed = transplant(squares[number], box, squares[host], host_box)
            seen.append(predictor.predict(replace(images[number], pixels=mixed)).label)
        answer = answers[number].label
        results.append(Swap(seen[0] == answer, seen[0] == CLASSES[other], seen[1] == answer))
    return results


def transplant(
    square: FloatArray, box: BoolArray, host: FloatArray, host_box: BoolArray
) -> FloatArray:
    """Set the rectangle of one picture into another, which is laid so that the rectangles meet.

    Where the other picture ends, there is black.

    :param square: (s, s) float32 in [0, 1]; ``host`` likewise.
    :param box: (s, s), an upright rectangle; ``host_box`` likewise.
    """
    size = square.shape[0]
    (rows, columns), (host_rows, host_columns) = extent(box), extent(host_box)
    across = (host_columns.stop - host_columns.start) / (columns.stop - columns.start)
    down = (host_rows.stop - host_rows.start) / (rows.stop - rows.start)
    laid = Image.fromarray(host).transform(
        (size, size),
        Image.Transform.AFFINE,
        (
            *(across, 0.0, host_columns.start - across * columns.start),
            *(0.0, down, host_rows.start - down * rows.start),
        ),
        Image.Resampling.BILINEAR,
    )
    soft = Image.fromarray(np.where(box, 255, 0).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(SEAM)
    )
    share = np.asarray(soft, dtype=np.float32) / np.float32(255.0)
    mixed: FloatArray = square * share + np.asarray(laid, dtype=np.float32) * (1.0 - share)
    return np.clip(mixed, 0.0, 1.0)


def summarise(
    readings: Sequence[ShortcutReading], swaps: Sequence[Swap | None], labels: Labels
) -> dict[str, Any]:
    """How often answers are marked, and how marked and unmarked ones do: share right, and share
    that stays in foreign surroundings. None where there is nothing to count.
    """
    groups: dict[str, list[int]] = {"reliable": [], "unreliable": [], "unknown": []}
    for number, reading in enumerate(readings):
        groups[reading.verdict].append(number)
    inside = [one.probe.inside for one in readings if one.probe.inside is not None]
    area = [one.probe.area for one in readings if one.probe.area is not None]

    def describe(numbers: list[int]) -> dict[str, Any]:
        moved = [one for one in (swaps[number] for number in numbers) if one is not None]
        right = [
            CLASSES.index(readings[number].probe.label) == labels[number] for number in numbers
        ]
        return {
            "n": len(numbers),
            "accuracy": _share(right),
            "stay_in_foreign_surroundings": _share([one.stayed for one in moved]),
            "take_the_class_of_the_surroundings": _share([one.went_over for one in moved]),
            "stay_in_surroundings_of_own_class": _share([one.stayed_at_home for one in moved]),
        }

    return {
        "reasons": dict(Counter(reading.reason for reading in readings)),
        **{name: describe(numbers) for name, numbers in groups.items()},
        "marked_by_answer": {
            label: {
                "answers": sum(one.probe.label == label for one in readings),
                "unreliable": sum(
                    one.probe.label == label and one.verdict == "unreliable" for one in readings
                ),
            }
            for label in CLASSES
        },
        "evidence_in_lungs_median": round(float(np.median(inside)), 4) if inside else None,
        "lung_area_median": round(float(np.median(area)), 4) if area else None,
    }


def _box_of(found: Probe, size: int) -> BoolArray | None:
    if not found.lungs.found:
        return None
    return around(resize_mask(widen(found.lungs.mask), (size, size)))


def _share(flags: Sequence[Any]) -> float | None:
    return round(float(np.mean(flags)), 4) if flags else None
