"""Finished parts of a bench, one file each, and the question whether one needs doing again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Cell = dict[str, Any]


class Cells:
    """A folder of finished cells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def read(self, name: str) -> Cell | None:
        """A finished cell; None where there is none, or half of one."""
        try:
            cell: Cell = json.loads(self.path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return cell

    def get(self, name: str, asked: Cell, compute: Callable[[], Cell]) -> Cell:
        """The cell from the folder where it was computed for the same question, else anew.

        :param asked: everything that decides the cell, such as seed and manifest. ``minutes`` among
            it does not count once a cell ended by itself, before its limit.
        """
        found = self.read(name)
        if found is not None and _answers(found, asked):
            return found
        cell = {"asked": asked, **compute()}
        write_json(self.path(name), cell)
        return cell


def write_json(path: Path, content: Any) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def plain(config: dict[str, Any]) -> dict[str, Any]:
    """Tuples as lists, as they come back from JSON."""
    return {
        key: [list(v) if isinstance(v, tuple) else v for v in value]
        if isinstance(value, tuple)
        else value
        for key, value in config.items()
    }


def _answers(found: Cell, asked: Cell) -> bool:
    before = dict(found.get("asked") or {})
    wanted = dict(asked)
    if found.get("stopped") != "minutes":
        before.pop("minutes", None)
        wanted.pop("minutes", None)
    return before == wanted
