"""One run of the self-test: first what is installed is read, then the scratch portal is tried."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.db import connection

from portal.selftest.registry import Bench, Check, Line, Verdict, checks, examine, failed
from portal.selftest.scratch import NoScratch, scratch_portal
from portal.selftest.world import build_world
from screening.inference.packages import default_package

Tell = Callable[[Line], None]


@dataclass(frozen=True)
class Report:
    """What was examined and when; ``versions`` says of what."""

    started_at: datetime
    ended_at: datetime
    versions: dict[str, str]
    lines: tuple[Line, ...]

    @property
    def failures(self) -> int:
        return self.count(Verdict.FAILED)

    def count(self, verdict: Verdict) -> int:
        return sum(line.outcome.verdict is verdict for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "versions": self.versions,
            "passed": self.count(Verdict.PASSED),
            "failed": self.failures,
            "not_applicable": self.count(Verdict.NOT_APPLICABLE),
            "lines": [
                {
                    "key": line.check.key,
                    "title": line.check.title,
                    "verdict": line.outcome.verdict.value.lower(),
                    "sentence": line.outcome.sentence,
                    "figures": dict(line.outcome.figures),
                    "seconds": round(line.seconds, 2),
                    "asvs": list(line.check.asvs),
                    "hipaa": list(line.check.hipaa),
                }
                for line in self.lines
            ],
        }


def run_selftest(*, only: Collection[str] = (), tell: Tell = lambda line: None) -> Report:
    """Run the checks (``only`` those of these keys); ``tell`` hears of each as it ends."""
    started = datetime.now(UTC)
    wanted = [check for check in checks() if not only or check.key in only]
    found: dict[str, Line] = {}

    def go(check: Check, bench: Bench) -> None:
        found[check.key] = examine(check, bench)
        tell(found[check.key])

    with tempfile.TemporaryDirectory(prefix="thorascreen-selftest-") as name:
        folder = Path(name)
        for check in wanted:
            if not check.needs_scratch:
                go(check, Bench(folder))
        versions = _versions()
        in_scratch = [check for check in wanted if check.needs_scratch]
        if in_scratch:
            try:
                with scratch_portal(folder):
                    bench = Bench(folder, build_world())
                    for check in in_scratch:
                        go(check, bench)
            except NoScratch as error:
                for check in in_scratch:
                    found[check.key] = Line(check, failed(str(error)), 0.0)
                    tell(found[check.key])
    lines = tuple(found[check.key] for check in wanted)
    return Report(started, datetime.now(UTC), versions, lines)


def _versions() -> dict[str, str]:
    """Of what the run says something; read from what is installed."""
    package = default_package()
    model = f"{package.name} {package.version} {package.fingerprint[:12]}"
    connection.ensure_connection()
    return {
        "ThoraScreen": str(settings.SPECTACULAR_SETTINGS["VERSION"]),
        "Model": model if package.usable else package.message,
        "Settings": str(settings.SETTINGS_MODULE),
        "Database": f"{connection.vendor} {_database_version()}",
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "pydicom": version("pydicom"),
        "Pillow": version("pillow"),
        "Machine": f"{platform.system()} {platform.machine()}",
    }


def _database_version() -> str:
    return ".".join(str(part) for part in connection.get_database_version())
