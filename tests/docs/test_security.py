"""What docs/security.md names is there: every path, every test, and a test for every promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PLACE = re.compile(r"`((?:portal|screening|ml|tests|static|bench)[\w./-]*)((?:::\w+)*)`")
PROMISES = [
    line
    for line in PAGE.partition("## What is promised")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and "`" in line
]

pytestmark = pytest.mark.once


def missing(text: str) -> list[str]:
    """Each file, folder or test that ``text`` names and that does not exist."""
    found = []
    for path, names in PLACE.findall(text):
        file = ROOT / path
        if not file.exists():
            found.append(path)
            continue
        for name in names.split("::")[1:]:
            if not re.search(rf"(?:def|class) {name}\b", file.read_text(encoding="utf-8")):
                found.append(f"{path}::{name}")
    return found


def test_everything_named_is_there() -> None:
    assert missing(PAGE) == []


@pytest.mark.parametrize("line", PROMISES, ids=lambda line: line[2:60])
def test_a_promise_names_code_and_a_test(line: str) -> None:
    _, _, code, test, _ = line.split("|")
    assert PLACE.findall(code)
    assert all(path.startswith("tests/") for path, _ in PLACE.findall(test))
    assert PLACE.findall(test)


def test_what_is_gone_is_noticed() -> None:
    assert len(PROMISES) > 50
    assert missing("`screening/gone.py`") == ["screening/gone.py"]
    assert missing("`tests/docs/test_security.py::test_nothing`") != []
    assert missing("`tests/docs/test_security.py::test_everything_named_is_there`") == []
