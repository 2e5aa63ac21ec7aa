"""What a page of the report is made of: text, facts, bars and pictures that flow over pages.

Lengths are in points (1/72 inch). ReportLab's own paragraphs read markup in their text; these
do not, and so nothing that somebody typed can be anything but text.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.utils import ImageReader
from reportlab.platypus.flowables import Flowable

from screening.report import lettering
from screening.report.lettering import BOLD, PLAIN
from screening.report.pictures import Print

INK: Final = HexColor("#16242a")
SOFT: Final = HexColor("#4d5d64")
LINE: Final = HexColor("#c9d3d5")
ACCENT: Final = HexColor("#0b6471")
WARN: Final = HexColor("#7d4a00")
BAD: Final = HexColor("#9b2226")
SUNK: Final = HexColor("#eef2f2")


@dataclass(frozen=True)
class Style:
    """How a text looks: ``size`` and ``leading`` (from line to line), space before and after."""

    size: float = 9
    leading: float = 12.5
    font: str = PLAIN
    colour: Color = INK
    before: float = 0
    after: float = 0


BODY: Final = Style()
STRONG: Final = Style(font=BOLD)
SMALL: Final = Style(size=7.5, leading=10, colour=SOFT)
TITLE: Final = Style(size=17, leading=21, font=BOLD)
HEADING: Final = Style(size=10.5, leading=14, font=BOLD, colour=ACCENT, before=11, after=3)
LEAD: Final = Style(size=13, leading=17, font=BOLD, before=1, after=2)
WARNING: Final = Style(font=BOLD, colour=WARN, before=2, after=2)


class Words(Flowable):
    """Text, broken into lines; goes on on the next page where it does not fit."""

    def __init__(self, text: str, style: Style = BODY, broken: list[str] | None = None) -> None:
        super().__init__()
        self.text, self.style, self.broken = text, style, broken
        self.spaceBefore, self.spaceAfter = style.before, style.after

    def wrap(self, room: float, _height: float) -> tuple[float, float]:
        if self.broken is None:
            self.broken = lettering.lines(self.text, self.style.font, self.style.size, room)
        self.width, self.height = room, len(self.broken) * self.style.leading
        return self.width, self.height

    def split(self, room: float, height: float) -> list[Flowable]:
        self.wrap(room, height)
        fitting = int(height // self.style.leading)
        if self.broken is None or fitting < 1:
            return []
        return [
            Words("", self.style, self.broken[:fitting]),
            Words("", self.style, self.broken[fitting:]),
        ]

    def draw(self) -> None:
        write(self.canv, 0, self.height, self.broken or [], self.style)


class Facts(Flowable):
    """Pairs of a name and a value in columns, each column as wide as the next."""

    def __init__(
        self, facts: Sequence[tuple[str, str]], columns: int = 2, label: float = 78
    ) -> None:
        super().__init__()
        self.facts, self.columns, self.label = list(facts), columns, label
        self.spaceAfter = 2

    def wrap(self, room: float, _height: float) -> tuple[float, float]:
        each = room / self.columns
        self.cells = [
            (
                lettering.lines(name, PLAIN, SMALL.size, self.label - 6),
                lettering.lines(value, PLAIN, BODY.size, each - self.label - 8),
            )
            for name, value in self.facts
        ]
        self.rows = [
            self.cells[at : at + self.columns] for at in range(0, len(self.cells), self.columns)
        ]
        self.heights = [
            max(max(len(value), len(name)) for name, value in row) * BODY.leading
            for row in self.rows
        ]
        self.width, self.height = room, sum(self.heights)
        return self.width, self.height

    def split(self, room: float, height: float) -> list[Flowable]:
        self.wrap(room, height)
        fitting, used = 0, 0.0
        for step in self.heights:
            if used + step > height:
                break
            fitting, used = fitting + 1, used + step
        if not fitting:
            return []
        cut = fitting * self.columns
        return [
            Facts(self.facts[:cut], self.columns, self.label),
            Facts(self.facts[cut:], self.columns, self.label),
        ]

    def draw(self) -> None:
        top, each = self.height, self.width / self.columns
        for row, height in zip(self.rows, self.heights, strict=True):
            for place, (name, value) in enumerate(row):
                write(
                    self.canv, place * each, top, name, Style(SMALL.size, BODY.leading, PLAIN, SOFT)
                )
                write(self.canv, place * each + self.label, top, value, BODY)
            top -= height


class Bars(Flowable):
    """Shares as bars, each with its name before it and its number behind."""

    STEP = 14.0

    def __init__(self, bars: Sequence[tuple[str, float, str, bool]]) -> None:
        super().__init__()
        self.bars = list(bars)
        self.spaceBefore, self.spaceAfter = 3, 3

    def wrap(self, room: float, _height: float) -> tuple[float, float]:
        self.width, self.height = room, self.STEP * len(self.bars)
        return self.width, self.height

    def draw(self) -> None:
        long = self.width - 78 - 44
        for place, (name, share, number, is_top) in enumerate(self.bars):
            top = self.height - place * self.STEP
            style = STRONG if is_top else BODY
            write(self.canv, 0, top, [name], style)
            self.canv.setFillColor(SUNK)
            self.canv.rect(78, top - 10, long, 6.5, stroke=0, fill=1)
            self.canv.setFillColor(ACCENT if is_top else LINE)
            self.canv.rect(78, top - 10, long * share, 6.5, stroke=0, fill=1)
            write(self.canv, 78 + long + 8, top, [number], style)


class Pictures(Flowable):
    """Two pictures side by side, each with a line below it; a missing one leaves its words."""

    GAP = 12.0
    HIGHEST = 205.0

    def __init__(self, pictures: Sequence[tuple[Print | None, str]]) -> None:
        super().__init__()
        self.pictures = list(pictures)
        self.spaceBefore, self.spaceAfter = 4, 4

    def wrap(self, room: float, _height: float) -> tuple[float, float]:
        self.each = (room - self.GAP) / 2
        scales = [
            min(self.each / picture.width, self.HIGHEST / picture.height)
            for picture, _ in self.pictures
            if picture is not None
        ]
        self.scale = min(scales, default=0)
        tallest = max((p.height * self.scale for p, _ in self.pictures if p is not None), default=0)
        self.width, self.height = room, tallest + SMALL.leading + 2
        return self.width, self.height

    def draw(self) -> None:
        for place, (picture, words) in enumerate(self.pictures):
            left = place * (self.each + self.GAP)
            if picture is not None:
                wide, high = picture.width * self.scale, picture.height * self.scale
                self.canv.drawImage(
                    ImageReader(io.BytesIO(picture.data)), left, self.height - high, wide, high
                )
            write(self.canv, left, SMALL.leading, [words], SMALL)


class Boxed(Flowable):
    """One line of warning in a frame that nobody overlooks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.spaceBefore, self.spaceAfter = 4, 6

    def wrap(self, room: float, _height: float) -> tuple[float, float]:
        self.broken = lettering.lines(self.text, BOLD, 11, room - 20)
        self.width, self.height = room, len(self.broken) * 15 + 12
        return self.width, self.height

    def draw(self) -> None:
        self.canv.setStrokeColor(BAD)
        self.canv.setLineWidth(1.4)
        self.canv.rect(0.7, 0.7, self.width - 1.4, self.height - 1.4, stroke=1, fill=0)
        write(self.canv, 10, self.height - 6, self.broken, Style(11, 15, BOLD, BAD))


class Masthead(Flowable):
    """The head of the first page: lines of text, and at the right the QR code of an address."""

    SIDE = 66.0

    def __init__(self, said: Sequence[tuple[str, Style]], address: str = "") -> None:
        super().__init__()
        self.said, self.address = list(said), address

    def wrap(self, room: float, _height: float) -> tuple[float, float]:
        beside = room - self.SIDE - 14 if self.address else room
        self.broken = [
            (lettering.lines(text, style.font, style.size, beside), style)
            for text, style in self.said
        ]
        words = sum(len(lines) * style.leading for lines, style in self.broken)
        self.width, self.height = room, max(self.SIDE if self.address else 0, words)
        return self.width, self.height

    def draw(self) -> None:
        top = self.height
        for lines, style in self.broken:
            write(self.canv, 0, top, lines, style)
            top -= len(lines) * style.leading
        if not self.address:
            return
        code = QrCodeWidget(self.address, barLevel="M", barBorder=0)
        left, low, right, high = code.getBounds()
        drawing = Drawing(
            self.SIDE,
            self.SIDE,
            transform=[self.SIDE / (right - left), 0, 0, self.SIDE / (high - low), 0, 0],
        )
        drawing.add(code)
        drawing.drawOn(self.canv, self.width - self.SIDE, self.height - self.SIDE)


def write(canvas: Any, left: float, top: float, said: Sequence[str], style: Style) -> None:
    """Lines of text, the first one just below ``top``."""
    canvas.setFillColor(style.colour)
    lettering.font(style.font)
    canvas.setFont(style.font, style.size)
    for place, line in enumerate(said):
        base = (
            top
            - place * style.leading
            - style.size
            - (style.leading - style.size) / 2
            + style.size * 0.22
        )
        canvas.drawString(left, base, lettering.visual(line))
