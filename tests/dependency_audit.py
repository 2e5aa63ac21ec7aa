"""Whether a pinned requirement has a known vulnerability: ``python -m tests.dependency_audit``.

pip-audit asks the advisories of PyPI. Where they can't be reached nothing is known, which is said
and is no failure: a machine without the internet must still be able to run the gates. A known
vulnerability fails, unless it is listed below with the reason why it does not concern us.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-dev.txt")
PATIENCE_S = 90

REASONS: dict[str, str] = {}  # Advisory → why it does not concern us. None at present.


def ask(file: str) -> dict[str, Any] | None:
    """What pip-audit knows about the pins of ``file``; ``None`` where it could not ask."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", file, "--no-deps"]
    command += ["--disable-pip", "--progress-spinner", "off", "--format", "json", "--timeout", "5"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        told: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return told


def judge(told: dict[str, Any] | None) -> tuple[int, int, list[str]]:
    """How many pins were looked up, how many were not, and each vulnerability without a reason."""
    if told is None:
        return 0, 0, []
    pins = told["dependencies"]
    asked = [pin for pin in pins if "skip_reason" not in pin]
    bad = [
        f"{pin['name']} {pin['version']}: {known['id']} (mended in {known['fix_versions']})"
        for pin in asked
        for known in pin["vulns"]
        if known["id"] not in REASONS
    ]
    return len(asked), len(pins) - len(asked), bad


def main() -> int:
    bad: list[str] = []
    for file in FILES:
        asked, unknown, found = judge(ask(file))
        bad += found
        if not asked:
            print(f"{file}: NOT CHECKED, the advisories can't be reached from here.")
        else:
            print(f"{file}: {asked} pins looked up, {unknown} not known there, {len(found)} bad.")
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
