"""Every act has a name that people understand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from screening.oversight.words import GROUPS, WORDS

ROOT = Path(__file__).resolve().parent.parent.parent / "screening"


def actions() -> Iterator[str]:
    """Every action that the code records, read out of its calls of ``record``."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ("record", "_record", "_note"):
                for argument in node.args[:3]:
                    for inner in ast.walk(argument):
                        said = inner.value if isinstance(inner, ast.Constant) else None
                        if isinstance(said, str) and "." in said:
                            yield said


@pytest.mark.once
def test_every_action_of_the_code_has_words() -> None:
    found = set(actions())
    assert {"patient.view", "job.fail", "job.refuse", "session.start"} <= found
    assert found - set(WORDS) == set()


@pytest.mark.once
def test_no_action_stands_in_two_groups() -> None:
    assert sum(len(group.words) for group in GROUPS) == len(WORDS)
