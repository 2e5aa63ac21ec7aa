"""The model card as Markdown with SVG pictures beside it.

The same inputs give the same bytes, so a test can make the card again and compare.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ml.card import Block, Card, Items, Table, build_card, hashes_of, model_name
from ml.card_bench import bench_sections, kind_of, worst_unseen
from ml.figures import Picture
from ml.package import MANIFEST

BENCHES: Final = Path(__file__).parent / "bench"
RECIPES: Final = Path(__file__).parent / "recipes"
PICTURES: Final = Path("images") / "model-card"
"""Beside the card."""


@dataclass(frozen=True, slots=True)
class Input:
    """One JSON file that figures are taken from."""

    name: str
    sha256: str
    content: dict[str, Any]

    @property
    def kind(self) -> str | None:
        return kind_of(self.content)


class CardError(Exception):
    """A card that can't be written; the message says why."""


def find_inputs(
    package: Path, evaluations: Sequence[Path] | None = None, benches: Sequence[Path] | None = None
) -> list[Input]:
    """What was named; else what was measured of the package, beside its manifest, and the benches.

    Files that hold no figures are passed over, unless they were named.

    :raises CardError: when a named one is no JSON of this program, or a tiny run on phantoms.
    """
    found = [path for path in sorted(package.glob("*.json")) if path.name != MANIFEST]
    found += [*sorted(BENCHES.glob("*.json")), *sorted(RECIPES.glob("*.json"))]
    kept = [one for one in map(_look, found) if _refusal(one) is None]
    chosen = [_read(path) for path in (*(evaluations or ()), *(benches or ()))]
    if evaluations is None:
        chosen += [one for one in kept if one.kind == "evaluation"]
    if benches is None:
        chosen += [one for one in kept if one.kind != "evaluation"]
    return chosen


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """A package's manifest, unchecked; None where it cannot be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _read(path: Path) -> Input:
    one = _look(path)
    if reason := _refusal(one):
        raise CardError(f"{path}: {reason}")
    return one


def _look(path: Path) -> Input:
    data = path.read_bytes()
    try:
        content = json.loads(data)
    except ValueError:
        content = None
    known = content if isinstance(content, dict) else {}
    return Input(path.name, hashlib.sha256(data).hexdigest(), known)


def _refusal(one: Input) -> str | None:
    """Why a file can't stand behind a card."""
    if one.kind is None:
        return "is neither an evaluation nor a bench."
    if one.content.get("tiny"):
        return "is a tiny run on phantoms, whose figures mean nothing."
    return None


def write_card(out: Path, manifest: dict[str, Any], inputs: Sequence[Input]) -> list[Path]:
    """Write the card and its pictures; older pictures there go. Returns the files.

    :raises CardError: when an input belongs to another model.
    """
    files = card_files(manifest, inputs)
    folder = out.parent / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        if old.name not in files:
            old.unlink()
    text = files.pop("")
    written = [out, *(folder / name for name in files)]
    for path, content in zip(written, (text, *files.values()), strict=True):
        partial = path.with_name(path.name + ".partial")
        partial.write_text(content, encoding="utf-8")
        os.replace(partial, path)
    return written


def card_files(manifest: dict[str, Any], inputs: Sequence[Input]) -> dict[str, str]:
    """The card's text under the empty name, and each picture under its file's.

    :raises CardError: when an input belongs to another model.
    """
    card = compose_card(manifest, inputs)
    files = {_file_name(picture): picture.file() for picture in pictures_of(card)}
    return {"": "".join(_markdown(card, manifest, inputs)), **files}


def compose_card(manifest: dict[str, Any], inputs: Sequence[Input]) -> Card:
    """The whole card with everything that was measured.

    :raises CardError: when an input belongs to another model.
    """
    for one in inputs:
        _check_model(one, manifest)
    evaluations = [one.content for one in inputs if one.kind == "evaluation"]
    benches = [one.content for one in inputs if one.kind != "evaluation"]
    more = bench_sections(benches, evaluations[0] if evaluations else None)
    return build_card(manifest, evaluations, more, worst_unseen(benches))


def pictures_of(card: Card) -> list[Picture]:
    """Every picture, in order."""
    return [b for section in card.sections for b in section.blocks if isinstance(b, Picture)]


def _check_model(one: Input, manifest: dict[str, Any]) -> None:
    model = one.content.get("model") or one.content.get("fitted_for")
    if model is None:
        return  # a bench trains its own networks
    ours = (manifest["name"], manifest["version"])
    hashes = model.get("sha256") or model.get("files")
    if (model["name"], model["version"]) != ours or hashes not in (None, hashes_of(manifest)):
        raise CardError(f"{one.name}: was measured with another model than {model_name(manifest)}.")


def _markdown(card: Card, manifest: dict[str, Any], inputs: Sequence[Input]) -> Iterable[str]:
    yield f"# {card.title}\n"
    yield "\n<!-- Written by `python -m ml card`; make it again rather than edit it. -->\n"
    for section in card.sections:
        yield f"\n## {section.title}\n"
        together: list[Picture] = []
        for block in section.blocks:
            if isinstance(block, Picture):
                together.append(block)
                continue
            yield from _row(together)
            together = []
            yield f"\n{_block(block)}\n"
        yield from _row(together)
    yield "\n## How this card was made\n"
    yield f"\n`python -m ml card`, from the manifest of {model_name(manifest)} and these files:\n"
    rows = tuple((one.name, str(one.kind), one.sha256) for one in inputs)
    yield f"\n{_block(Table('', ('file', 'holds', 'SHA-256'), rows))}\n"


def _row(pictures: Sequence[Picture]) -> Iterable[str]:
    if pictures:
        yield "\n<p>\n"
        for one in pictures:
            source = (PICTURES / _file_name(one)).as_posix()
            alt = html.escape(one.alt, quote=True)
            yield f'  <img src="{source}" width="{one.width}" alt="{alt}">\n'
        yield "</p>\n"


def _block(block: Block) -> str:
    if isinstance(block, Items):
        return "\n".join(f"- {item}" for item in block.items)
    if isinstance(block, Table):
        lines = [block.heading, ("---",) * len(block.heading), *block.rows]
        rows = "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)
        return f"{block.caption}\n\n{rows}" if block.caption else rows
    return str(block)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _file_name(picture: Picture) -> str:
    return re.sub(r"[^a-z0-9]+", "-", picture.title.lower()).strip("-") + ".svg"
