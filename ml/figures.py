"""Pictures of figures, drawn as small SVG files with nothing but text.

A picture is drawn twice from the same numbers: as a file of its own, on white, and to stand in a
page, where it takes the page's colours. Neither holds a style or a script, so that a strict content
security policy lets it through. The same numbers give the same bytes.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ml import CLASSES

COLOURS: Final = {"covid": "#6a2f8f", "pneumonia": "#9a5b00", "normal": "#1d6b42"}
NAMES: Final = {"covid": "COVID-19", "pneumonia": "Pneumonia", "normal": "Normal"}
DASHES: Final = {"covid": "", "pneumonia": "7 3", "normal": "2 3"}
"""Lines differ in more than colour."""
INK: Final = "#16242a"
FONT: Final = "system-ui, sans-serif"
LEFT, TOP, SIDE = 52, 44, 240
"""Where a square plot lies, and how large it is."""
HEAD: Final = 22
"""Height of the title, which a page writes itself."""
WIDTH, HEIGHT = 320, 332
TICKS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished drawing. ``alt`` says in words what it shows."""

    title: str
    alt: str
    width: int
    height: int
    parts: tuple[str, ...]

    def file(self) -> str:
        """An SVG file on a white ground, with its title."""
        ground = f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>'
        title = (
            f'<text x="{self.width / 2:.1f}" y="16" text-anchor="middle" font-size="13" '
            f'font-weight="600" fill="currentColor">{html.escape(self.title)}</text>'
        )
        return self._svg(f' color="{INK}"', (ground, title, *self.parts)) + "\n"

    def inline(self) -> str:
        """An element for a page, which gives title, colours (``.figure-…``) and width."""
        return self._svg("", self.parts, HEAD)

    def _svg(self, extra: str, parts: tuple[str, ...], above: int = 0) -> str:
        alt = html.escape(self.alt, quote=True)
        height = self.height - above
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="figure" role="img" aria-label="{alt}" '
            f'viewBox="0 {above} {self.width} {height}" width="{self.width}" '
            f'height="{height}" font-family="{FONT}" font-size="11"{extra}>'
        )
        return "\n".join([head, *parts, "</svg>"])


def roc_picture(title: str, roc: Mapping[str, Any]) -> Picture | None:
    """The ROC curve of each class against the other two; None where no class has one."""
    canvas = Canvas()
    canvas.square("1 − specificity", "sensitivity")
    canvas.line([(0.0, 0.0), (1.0, 1.0)], "currentColor", dash="1 4", width=1.0)
    drawn = []
    for label in CLASSES:
        curve = roc.get(label)
        if curve is None:
            continue
        drawn.append(label)
        points = list(zip(curve["false_positive"], curve["true_positive"], strict=True))
        canvas.line(points, COLOURS[label], dash=DASHES[label], kind=label)
        canvas.legend(len(drawn), label)
    if not drawn:
        return None
    names = ", ".join(NAMES[label] for label in drawn)
    return canvas.done(title, f"{title}: ROC curves of {names}, each against the other classes.")


def reliability_picture(title: str, bins: Sequence[Mapping[str, Any]]) -> Picture | None:
    """How often answers of a given certainty were right; the area of a dot is its pictures."""
    if not bins:
        return None
    canvas = Canvas()
    canvas.square("certainty of the answer", "share that was right")
    canvas.line([(0.0, 0.0), (1.0, 1.0)], "currentColor", dash="1 4", width=1.0)
    canvas.line([(b["confidence"], b["accuracy"]) for b in bins], "#0b6471", kind="accent")
    most = max(b["n"] for b in bins)
    for one in bins:
        radius = 2.0 + 7.0 * (one["n"] / most) ** 0.5
        canvas.dot(one["confidence"], one["accuracy"], radius)
    words = "; ".join(
        f"{b['confidence']:.2f} certain, {b['accuracy']:.2f} right, n = {b['n']}" for b in bins
    )
    return canvas.done(title, f"{title}. {words}.")


def confusion_picture(
    title: str, classes: Sequence[str], table: Sequence[Sequence[int]]
) -> Picture:
    """Truth by row, answer by column; the darker a cell, the larger its share of the row."""
    canvas = Canvas()
    cell = SIDE // len(classes)
    left = LEFT + 44
    for number, label in enumerate(classes):
        name = NAMES.get(label, label)
        middle = cell * number + cell // 2
        canvas.text(left + middle, TOP - 6, name, anchor="middle")
        canvas.text(left - 8, TOP + middle + 4, name, anchor="end")
    words = []
    for row, (truth, counts) in enumerate(zip(classes, table, strict=True)):
        total = sum(counts)
        for column, count in enumerate(counts):
            x, y = left + cell * column, TOP + cell * row
            share = count / total if total else 0.0
            canvas.parts.append(
                f'<rect class="figure-cell" x="{x}" y="{y}" width="{cell - 2}" '
                f'height="{cell - 2}" fill="#0b6471" fill-opacity="{0.05 + 0.4 * share:.3f}"/>'
            )
            canvas.text(x + cell // 2 - 1, y + cell // 2 - 1, str(count), anchor="middle", size=15)
            told = f"{share:.0%} of row" if total else "–"
            canvas.text(x + cell // 2 - 1, y + cell // 2 + 16, told, anchor="middle")
        told = ", ".join(
            f"{n} {NAMES.get(c, c)}" for c, n in zip(classes, counts, strict=True) if n
        )
        words.append(f"{NAMES.get(truth, truth)} called {told}" if told else f"no {NAMES[truth]}")
    canvas.text(left + SIDE // 2, TOP + SIDE + 22, "answer of the model", anchor="middle")
    canvas.parts.append(_upright(14, TOP + SIDE // 2, "recorded class"))
    return canvas.done(title, f"{title}. {'; '.join(words)}.", WIDTH + 20, TOP + SIDE + 36)


@dataclass(frozen=True, slots=True)
class Span:
    """One line of a comparison: a figure between 0 and 1 and its interval."""

    name: str
    value: float
    low: float
    high: float


def spans_picture(title: str, spans: Sequence[Span], start: float = 0.0) -> Picture | None:
    """Figures with their intervals under each other, on one scale from ``start`` to 1."""
    if not spans:
        return None
    canvas = Canvas()
    left, width, step = 210, 300, 26
    bottom = TOP + step * len(spans)

    def place(value: float) -> float:
        return left + width * (min(max(value, start), 1.0) - start) / (1.0 - start)

    for tick in (start + (1.0 - start) * share for share in TICKS):
        canvas.parts.append(_rule(place(tick), TOP - 6, place(tick), bottom, opacity=0.18))
        canvas.text(place(tick), bottom + 16, f"{tick:.1f}", anchor="middle")
    for number, span in enumerate(spans):
        y = TOP + step * number + step / 2
        canvas.text(left - 12, y + 4, span.name, anchor="end")
        canvas.parts.append(_rule(place(span.low), y, place(span.high), y, width=2.0))
        canvas.parts.append(
            f'<circle class="figure-accent-fill" cx="{place(span.value):.1f}" cy="{y:.1f}" r="4.5" '
            'fill="#0b6471"/>'
        )
    words = "; ".join(
        f"{span.name} {span.value:.3f}, interval {span.low:.3f} to {span.high:.3f}"
        for span in spans
    )
    return canvas.done(title, f"{title}. {words}.", left + width + 30, bottom + 28)


@dataclass(slots=True)
class Canvas:
    """Collects the parts of a picture; a square plot's own numbers run from 0 to 1."""

    parts: list[str] = field(default_factory=list)

    def square(self, across: str, up: str) -> None:
        """The ground of a plot, with both axes."""
        right, bottom = LEFT + SIDE, TOP + SIDE
        for tick in TICKS:
            x, y = LEFT + SIDE * tick, bottom - SIDE * tick
            self.parts.append(_rule(x, TOP, x, bottom, opacity=0.18))
            self.parts.append(_rule(LEFT, y, right, y, opacity=0.18))
            self.text(x, bottom + 15, f"{tick:.1f}", anchor="middle")
            self.text(LEFT - 7, y + 4, f"{tick:.1f}", anchor="end")
        self.text(LEFT + SIDE / 2, bottom + 33, across, anchor="middle")
        self.parts.append(_upright(14, TOP + SIDE // 2, up))

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: str,
        *,
        dash: str = "",
        width: float = 2.0,
        kind: str = "",
    ) -> None:
        """A line through the plot."""
        drawn = " ".join(f"{LEFT + SIDE * x:.1f},{TOP + SIDE * (1 - y):.1f}" for x, y in points)
        known = f' class="figure-{kind}"' if kind else ""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline{known} points="{drawn}" fill="none" stroke="{colour}" '
            f'stroke-width="{width}"{dashed}/>'
        )

    def dot(self, x: float, y: float, radius: float) -> None:
        """A mark in the plot."""
        self.parts.append(
            f'<circle class="figure-accent-fill" cx="{LEFT + SIDE * x:.1f}" '
            f'cy="{TOP + SIDE * (1 - y):.1f}" r="{radius:.1f}" fill="#0b6471" fill-opacity="0.75"/>'
        )

    def legend(self, number: int, label: str) -> None:
        """Which line is which, in the plot's empty lower right."""
        x, y = LEFT + SIDE - 108, TOP + SIDE - 70 + 18 * number
        dashed = f' stroke-dasharray="{DASHES[label]}"' if DASHES[label] else ""
        self.parts.append(
            f'<line class="figure-{label}" x1="{x}" y1="{y}" x2="{x + 28}" y2="{y}" '
            f'stroke="{COLOURS[label]}" stroke-width="2"{dashed}/>'
        )
        self.text(x + 35, y + 4, NAMES[label])

    def text(
        self, x: float, y: float, words: str, *, anchor: str = "start", size: int = 11
    ) -> None:
        """Words at a place of the picture."""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="currentColor">{html.escape(words)}</text>'
        )

    def done(self, title: str, alt: str, width: int = WIDTH, height: int = HEIGHT) -> Picture:
        """The picture so far."""
        return Picture(title, alt, width, height, tuple(self.parts))


def _rule(
    x1: float, y1: float, x2: float, y2: float, *, opacity: float = 1.0, width: float = 1.0
) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        f'stroke-width="{width}" stroke-opacity="{opacity}"/>'
    )


def _upright(x: float, y: float, words: str) -> str:
    return (
        f'<text x="{x}" y="{y}" transform="rotate(-90 {x} {y})" text-anchor="middle" '
        f'fill="currentColor">{html.escape(words)}</text>'
    )
