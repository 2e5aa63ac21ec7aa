"""Text as the printed report shows it: cleaned, broken into lines, in the order it is read.

The fonts are ours and hold every European letter (``fonts/README.md``). Text is never markup: what
somebody typed is printed letter by letter. Characters that the fonts do not hold become hollow
boxes, and the report says so where there are any. Hebrew and Arabic run from right to left by a
reduced form of Unicode's bidirectional algorithm (UAX #9): numbers inside keep their direction,
brackets are mirrored, explicit marks are ignored; Arabic letters are not joined.
"""

from __future__ import annotations

import threading
import unicodedata
from pathlib import Path
from typing import Final, cast

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

PLAIN: Final = "DejaVuSansCondensed"
BOLD: Final = "DejaVuSansCondensed-Bold"
MISSING: Final = "□"
_FOLDER: Final = Path(__file__).resolve().parent / "fonts"
_MIRRORED: Final = str.maketrans("()[]{}<>«»‹›", ")(][}{><»«›‹")
_loading = threading.Lock()


def font(name: str) -> TTFont:
    """The font, loaded when it is first asked for."""
    with _loading:
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(_FOLDER / f"{name}.ttf")))
    return cast(TTFont, pdfmetrics.getFont(name))


def clean(text: str) -> tuple[str, int]:
    """``text`` as it can be printed, and how many characters the fonts do not hold.

    Line breaks stay; other control characters, marks of direction and whatever nobody can see
    are taken out.
    """
    held = font(PLAIN).face.charWidths
    held_bold = font(BOLD).face.charWidths
    normal = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    out, missing = [], 0
    for c in normal:
        if c == "\n":
            out.append(c)
        elif c.isspace():
            out.append(" ")
        elif unicodedata.category(c) in ("Cc", "Cf", "Cs"):
            continue
        elif ord(c) in held and ord(c) in held_bold:
            out.append(c)
        elif unicodedata.category(c) != "Mn":
            out.append(MISSING)
            missing += 1
    return "".join(out), missing


def width(text: str, name: str, size: float) -> float:
    """Of ``text`` in points, at ``size`` points."""
    face = font(name).face
    widths, default = face.charWidths, face.defaultWidth
    return float(sum(widths.get(ord(c), default) for c in text)) * size / 1000


def lines(text: str, name: str, size: float, room: float) -> list[str]:
    """``text`` broken into lines no wider than ``room`` points; long words are broken too."""
    found: list[str] = []
    for part in text.split("\n"):
        line = ""
        for word in part.split(" "):
            joined = f"{line} {word}" if line else word
            if width(joined, name, size) <= room:
                line = joined
                continue
            if line:
                found.append(line)
            *whole, line = _pieces(word, name, size, room)
            found.extend(whole)
        found.append(line)
    return found


def _pieces(word: str, name: str, size: float, room: float) -> list[str]:
    """``word``, cut wherever it would leave the line."""
    pieces, start, used = [], 0, 0.0
    for place, c in enumerate(word):
        step = width(c, name, size)
        if used + step > room and place > start:
            pieces.append(word[start:place])
            start, used = place, 0.0
        used += step
    return [*pieces, word[start:]]


def visual(line: str) -> str:
    """``line`` in the order in which its letters stand on paper, from left to right."""
    kinds = [_kind(c) for c in line]
    if "R" not in kinds:
        return line
    base = 1 if next(k for k in kinds if k in "RL") == "R" else 0
    levels = _levels(kinds, base)
    letters = [
        c.translate(_MIRRORED) if level % 2 else c for c, level in zip(line, levels, strict=True)
    ]
    for level in range(max(levels), 0, -1):
        letters, levels = _reverse_runs(letters, levels, level)
    return "".join(letters)


def _kind(c: str) -> str:
    """R: right to left. L: left to right. N: number. O: what stands between."""
    kind = unicodedata.bidirectional(c)
    if kind in ("R", "AL"):
        return "R"
    if kind == "L":
        return "L"
    return "N" if kind in ("EN", "AN") else "O"


def _levels(kinds: list[str], base: int) -> list[int]:
    """The embedding level of each letter: odd runs from right to left."""
    outer = "R" if base else "L"
    resolved = list(kinds)
    for place, kind in enumerate(kinds):
        if kind == "O":
            before = next((k for k in reversed(kinds[:place]) if k != "O"), outer)
            after = next((k for k in kinds[place + 1 :] if k != "O"), outer)
            sides = {
                "R" if k == "N" and outer == "R" else k.replace("N", "L") for k in (before, after)
            }
            resolved[place] = sides.pop() if len(sides) == 1 else outer
    levels, strong = [], outer
    for kind in resolved:
        strong = kind if kind in "RL" else strong
        if kind == "R":
            levels.append(1)
        elif kind == "L":
            levels.append(2 * base)
        else:
            levels.append(2 if strong == "R" else 2 * base)
    return levels


def _reverse_runs(letters: list[str], levels: list[int], level: int) -> tuple[list[str], list[int]]:
    place = 0
    while place < len(levels):
        end = place
        while end < len(levels) and levels[end] >= level:
            end += 1
        if end > place:
            letters[place:end] = letters[place:end][::-1]
            levels[place:end] = levels[place:end][::-1]
        place = end + 1
    return letters, levels
