"""Pictures of figures: small SVG drawings in the page's own colours.

Neither style nor script stands in them, so that the content security policy lets them through.
Series differ by dash and mark as well as by colour; the numbers stand in a table beside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from django.utils.formats import number_format
from django.utils.safestring import SafeString

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 352, 12, 172
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2 1 2")
MARKS = ("disc", "square", "triangle", "ring", "diamond")


@dataclass(frozen=True)
class Series:
    """One line or one colour. ``css`` names a class of the style sheet (``series-…``)."""

    name: str
    css: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Axis:
    """What stands along the bottom: a label for each value, of which a few are written."""

    labels: Sequence[str]


def lines(
    key: str,
    title: str,
    words: str,
    axis: Axis,
    series: Sequence[Series],
    *,
    limit: float | None = None,
    unit: str = "",
) -> SafeString:
    """A line for each series; a gap where there is no value. ``limit`` draws a level across."""
    given = [value for one in series for value in one.values if value is not None]
    high = _ceiling(max([*given, limit or 0.0], default=1.0))
    parts = [_grid(high, unit), _bottom(axis)]
    if limit is not None:
        y = _y(limit, high)
        parts.append(
            f'<line class="chart-limit" x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}"/>'
        )
    for number, one in enumerate(series):
        places = [
            (_x(n, len(axis.labels)), _y(value, high)) if value is not None else None
            for n, value in enumerate(one.values)
        ]
        for stretch in _stretches(places):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in stretch)
            dash = DASHES[number % len(DASHES)]
            parts.append(
                f'<polyline class="chart-line {one.css}" points="{points}"'
                + (f' stroke-dasharray="{dash}"' if dash else "")
                + "/>"
            )
        if len(axis.labels) <= 26:
            parts += [
                mark(MARKS[number % len(MARKS)], one.css, *place) for place in places if place
            ]
    return _svg(key, title, words, parts)


def columns(
    key: str,
    title: str,
    words: str,
    axis: Axis,
    series: Sequence[Series],
    *,
    unit: str = "",
    full: float | None = None,
) -> SafeString:
    """A column for each value; several series stand on one another. ``full`` fixes the top."""
    totals = [sum(v or 0.0 for v in column) for column in zip(*(s.values for s in series))]  # noqa: B905
    high = full or _ceiling(max(totals, default=1.0))
    parts = [_grid(high, unit), _bottom(axis)]
    step = (RIGHT - LEFT) / max(len(axis.labels), 1)
    wide = max(min(step * 0.72, 26.0), 0.8)
    for n in range(len(axis.labels)):
        base = 0.0
        for one in series:
            value = one.values[n] or 0.0
            if value > 0:
                top, bottom = _y(base + value, high), _y(base, high)
                x = LEFT + step * (n + 0.5) - wide / 2
                parts.append(
                    f'<rect class="chart-column {one.css}" x="{x:.1f}" y="{top:.1f}" '
                    f'width="{wide:.1f}" height="{max(bottom - top, 0.5):.1f}"/>'
                )
            base += value
    return _svg(key, title, words, parts)


def mark(kind: str, css: str, x: float, y: float) -> str:
    """A small sign at a point; the same stands in the legend."""
    css = f"chart-mark {css}"
    if kind == "square":
        return f'<rect class="{css}" x="{x - 2.6:.1f}" y="{y - 2.6:.1f}" width="5.2" height="5.2"/>'
    if kind == "triangle":
        return f'<path class="{css}" d="M{x:.1f} {y - 3.4:.1f}l3.4 6h-6.8z"/>'
    if kind == "diamond":
        return f'<path class="{css}" d="M{x:.1f} {y - 3.8:.1f}l3.8 3.8-3.8 3.8-3.8-3.8z"/>'
    if kind == "ring":
        return f'<circle class="{css} chart-ring" cx="{x:.1f}" cy="{y:.1f}" r="2.8"/>'
    return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="2.8"/>'


def key_line(number: int, css: str) -> SafeString:
    """The sample of a line that stands in the legend."""
    dash = DASHES[number % len(DASHES)]
    stroke = f' stroke-dasharray="{dash}"' if dash else ""
    return SafeString(
        '<svg class="chart-key" viewBox="0 0 30 10" width="30" height="10" aria-hidden="true" '
        f'focusable="false"><path class="chart-line {css}" d="M1 5h28"{stroke}/>'
        f"{mark(MARKS[number % len(MARKS)], css, 15, 5)}</svg>"
    )


def key_column(css: str) -> SafeString:
    return SafeString(
        '<svg class="chart-key" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" '
        f'focusable="false"><rect class="chart-column {css}" width="12" height="12" rx="2"/></svg>'
    )


def _svg(key: str, title: str, words: str, parts: Sequence[str]) -> SafeString:
    return SafeString(
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'aria-labelledby="{key}-title {key}-words"><title id="{key}-title">{escape(title)}</title>'
        f'<desc id="{key}-words">{escape(words)}</desc>{"".join(parts)}</svg>'
    )


def _ceiling(value: float) -> float:
    """The next round number above ``value``: 1, 2, 4 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 4, 5, 10) if power * step >= value * 0.999)


def _x(number: int, of: int) -> float:
    return LEFT + (RIGHT - LEFT) * (number + 0.5) / max(of, 1)


def _y(value: float, high: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * min(value / high, 1.0)


def _grid(high: float, unit: str) -> str:
    parts = []
    for step in (0.0, 0.5, 1.0):
        y = _y(high * step, high)
        parts.append(
            f'<line class="chart-grid" x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}"/>'
            f'<text class="chart-text" x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(_tick(high * step, unit))}</text>"
        )
    return "".join(parts)


def _tick(value: float, unit: str) -> str:
    if unit == "%":
        value = value * 100
    value = float(f"{value:.3g}")
    return f"{number_format(int(value) if value.is_integer() else value)}{unit}"


def _bottom(axis: Axis) -> str:
    of = len(axis.labels)
    if not of:
        return ""
    shown = {0: "start", of - 1: "end"} if of > 1 else {0: "middle"}
    if of > 4:
        shown[of // 2] = "middle"
    places = {"start": LEFT, "end": RIGHT}
    return "".join(
        f'<text class="chart-text" x="{places.get(anchor, _x(n, of)):.1f}" y="{BOTTOM + 18}" '
        f'text-anchor="{anchor}">{escape(str(axis.labels[n]))}</text>'
        for n, anchor in sorted(shown.items())
    )


def _stretches(
    places: Sequence[tuple[float, float] | None],
) -> list[list[tuple[float, float]]]:
    """The runs of points without a gap that are long enough to be a line."""
    runs: list[list[tuple[float, float]]] = [[]]
    for place in places:
        if place is None:
            runs.append([])
        else:
            runs[-1].append(place)
    return [run for run in runs if len(run) > 1]
