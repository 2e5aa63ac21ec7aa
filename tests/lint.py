"""Every static check, each with one line that says how it went: ``python -m tests.lint``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.portal.production import sound_environment

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    program = Path(sys.executable).parent
    python = sys.executable
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        production = sound_environment(Path(folder))
        embedded = {"THORASCREEN_VAR": f"{folder}/embedded"}
        checks: list[tuple[str, list[str], dict[str, str]]] = [
            ("ruff check", [str(program / "ruff"), "check", "."], {}),
            ("ruff format", [str(program / "ruff"), "format", "--check", "."], {}),
            ("import-linter", [str(program / "lint-imports"), "--no-cache"], {}),
            ("mypy", [str(program / "mypy")], {}),
            (
                "makemigrations --check",
                [python, "manage.py", "makemigrations", "--check", "--dry-run"],
                embedded,
            ),
            (
                "check --deploy",
                [python, "manage.py", "check", "--deploy", "--fail-level", "INFO"],
                production,
            ),
            (
                "API schema",
                [python, "manage.py", "spectacular", "--validate", "--fail-on-warn"],
                embedded,
            ),
            ("bandit", [python, "-m", "tests.code_audit"], {}),
            ("pip-audit", [python, "-m", "tests.dependency_audit"], {}),
        ]
        for name, command, extra in checks:
            started = time.monotonic()
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **extra},
                capture_output=True,
                text=True,
                check=False,
            )
            verdict = "ok" if done.returncode == 0 else "FAILED"
            print(f"{name:<24} {verdict:<7} {time.monotonic() - started:5.1f} s", flush=True)
            for line in done.stdout.splitlines():
                if "NOT CHECKED" in line:
                    print(f"  {line}", flush=True)
            if done.returncode != 0:
                failed.append(name)
                print(done.stdout + done.stderr, flush=True)
    if failed:
        print(f"lint: {', '.join(failed)} failed.")
        return 1
    print("lint: all clean.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
