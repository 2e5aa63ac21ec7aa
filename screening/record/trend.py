"""How the probabilities of a patient's studies went, as a drawing and as a table.

The drawing is SVG made by the template from these numbers: a viewBox of ``WIDTH`` by ``HEIGHT``,
a column for each study in the order of time (not to scale), shares upwards. Lines of different
models are not joined: their shares do not compare, and a mark says where the model changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from screening.inference.models import Label
from screening.record.cards import ImageCard
from screening.record.timeline import Entry

WIDTH, HEIGHT = 560, 230
LEFT, RIGHT, TOP, BOTTOM = 62, 546, 40, 196
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Point:
    """One study of the trend: where its column stands and what the table says."""

    entry: Entry
    image: ImageCard
    x: float
    model: str
    model_changed: bool

    @property
    def day(self) -> date:
        return self.entry.day


@dataclass(frozen=True)
class Mark:
    """One share of one study: its place in the drawing."""

    x: float
    y: float


@dataclass(frozen=True)
class Curve:
    """One class: its marks, and the stretches (``points`` of a polyline) that join them."""

    label: str
    name: str
    marks: list[Mark]
    stretches: list[str]


@dataclass(frozen=True)
class ModelChange:
    """Where another model began to answer: the place of the mark, and what stands above it.

    ``words`` is the version, with the model's name where that has changed too; ``y`` alternates,
    so that the words of neighbours do not run into each other.
    """

    x: float
    y: float
    words: str


@dataclass(frozen=True)
class Trend:
    """The whole drawing. ``left_out`` counts the studies without an answer that may be shown."""

    points: list[Point]
    curves: list[Curve]
    changes: list[ModelChange]
    left_out: int

    @property
    def levels(self) -> list[tuple[float, int]]:
        """Where the level lines stand, and how many per cent they mean."""
        return [(_y(level), round(level * 100)) for level in LEVELS]


def trend_of(entries: Sequence[Entry]) -> Trend | None:
    """The trend of ``entries`` (newest first); None for fewer than two answers."""
    in_time = sorted(entries, key=lambda entry: (entry.day, entry.study.created_at))
    answered = [(entry, entry.leading) for entry in in_time]
    known = [(entry, image) for entry, image in answered if image is not None and image.result]
    if len(known) < 2:
        return None
    points: list[Point] = []
    for place, (entry, image) in enumerate(known):
        model = str(image.result.model_version) if image.result else ""
        changed = bool(points) and points[-1].model != model
        points.append(Point(entry, image, _x(place, len(known)), model, changed))
    return Trend(
        points=points,
        curves=[_curve(label, points) for label in Label],
        changes=_changes(points),
        left_out=len(in_time) - len(known),
    )


def _curve(label: Label, points: Sequence[Point]) -> Curve:
    marks = [Mark(point.x, _y(_share(point, label))) for point in points]
    stretches: list[list[str]] = []
    for point, mark in zip(points, marks, strict=True):
        if not stretches or point.model_changed:
            stretches.append([])
        stretches[-1].append(f"{mark.x:.1f},{mark.y:.1f}")
    joined = [" ".join(stretch) for stretch in stretches if len(stretch) > 1]
    return Curve(label.value, str(label.label), marks, joined)


def _changes(points: Sequence[Point]) -> list[ModelChange]:
    found: list[ModelChange] = []
    for before, after in pairwise(points):
        if after.model_changed:
            old, new = before.image.result, after.image.result
            same = old and new and old.model_version.name == new.model_version.name
            words = new.model_version.version if new and same else after.model
            y = 16.0 if len(found) % 2 == 0 else 34.0
            found.append(ModelChange(round((before.x + after.x) / 2, 1), y, words))
    return found


def _share(point: Point, label: Label) -> float:
    return point.image.result.probabilities[label.value] if point.image.result else 0.0


def _x(place: int, count: int) -> float:
    room = (RIGHT - LEFT) / count
    return round(LEFT + room * (place + 0.5), 1)


def _y(share: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * share, 1)
