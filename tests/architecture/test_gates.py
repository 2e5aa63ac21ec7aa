"""The gates of ``make lint`` close: each is fed something that it must not let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import code_audit, dependency_audit

pytestmark = pytest.mark.once

PLANTED = """
import subprocess

subprocess.run("ls", shell=True)
eval("1")
exec("1")  # noqa: S102  (a reason)
"""


def test_bandit_finds_what_is_planted_and_knows_what_was_reviewed(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANTED, encoding="utf-8")
    found = code_audit.findings(("planted.py",), tmp_path)
    said = [line for line in code_audit.judge(found, tmp_path) if line.startswith("planted.py")]
    assert [line.split()[1] for line in said] == ["B602", "B607", "B307"]


def test_a_reason_that_nothing_needs_any_more_is_said() -> None:
    said = code_audit.judge([])
    assert len(said) == len(code_audit.REASONS)
    assert all("no such finding" in line for line in said)


def test_a_known_vulnerability_closes_the_gate() -> None:
    bad = {"id": "PYSEC-2099-1", "fix_versions": ["2.0"]}
    told = {
        "dependencies": [
            {"name": "sound", "version": "1.0", "vulns": []},
            {"name": "holed", "version": "1.0", "vulns": [bad]},
            {"name": "unknown", "version": "1.0", "skip_reason": "not found"},
        ]
    }
    asked, unknown, found = dependency_audit.judge(told)
    assert (asked, unknown) == (2, 1)
    assert len(found) == 1
    assert "PYSEC-2099-1" in found[0]


def test_where_nothing_can_be_asked_nothing_is_claimed() -> None:
    assert dependency_audit.judge(None) == (0, 0, [])
