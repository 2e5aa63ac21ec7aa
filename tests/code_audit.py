"""Bandit over what is shipped: every finding is mended, or says why it stays.

``python -m tests.code_audit``. A line that ruff's rule of the same number lets pass has its reason
beside it already (``# noqa: S104``); what ruff has no rule for is listed here. A reason that no
finding needs any more fails too, so that the list says what is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("portal", "screening", "ml", "manage.py")

# Rules that ask for a look whenever a process is started at all. Every process here is given a list
# and no shell; ruff's S602 and S605 forbid the shell.
LEFT_OUT = ("B404", "B603")

DRAWN = "Markup of our own drawing canvas, which escapes each text that it is given."
REASONS = {
    ("portal/make_secrets.py", "B105"): "The number of random bytes of a secret, not a secret.",
    ("screening/accounts/second_factor_views.py", "B703"): "A QR code as paths, without a text.",
    ("screening/governance/pictures.py", "B703"): DRAWN,
    ("screening/insight/charts.py", "B703"): DRAWN,
    ("screening/patients/triggers.py", "B608"): "Constants and table names of our own models.",
    ("screening/record/model_cards.py", "B703"): DRAWN,
}


def findings(targets: tuple[str, ...] = SHIPPED, root: Path = ROOT) -> list[dict[str, Any]]:
    """What bandit finds. Raises ``RuntimeError`` where it could not read a file."""
    command = [sys.executable, "-m", "bandit", "--quiet", "--format", "json", "--recursive"]
    command += ["--skip", ",".join(LEFT_OUT), *targets]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    if told["errors"]:
        raise RuntimeError(f"bandit could not read everything: {told['errors']}")
    return list(told["results"])


def judge(found: list[dict[str, Any]], root: Path = ROOT) -> list[str]:
    """A line for each finding without a reason, and for each reason without a finding."""
    used, said = set(), []
    for one in found:
        path, rule = one["filename"].removeprefix("./"), one["test_id"]
        if (path, rule) in REASONS:
            used.add((path, rule))
        elif not _is_reviewed(root / path, one["line_range"], rule):
            said.append(f"{path}:{one['line_number']} {rule} {one['issue_text']}")
    said += [f"{path} {rule}: no such finding any more" for path, rule in set(REASONS) - used]
    return sorted(said)


def _is_reviewed(path: Path, lines: list[int], rule: str) -> bool:
    """Whether one line of the statement carries ruff's mark of the same number."""
    text = path.read_text(encoding="utf-8").splitlines()
    marked = [text[number - 1].partition("# noqa:")[2] for number in lines]
    return any(f"S{rule[1:]}" in mark.replace(",", " ").split() for mark in marked)


def main() -> int:
    found = findings()
    said = judge(found)
    for line in said:
        print(line)
    print(f"bandit: {len(found)} findings, {len(said)} without a reason.")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
