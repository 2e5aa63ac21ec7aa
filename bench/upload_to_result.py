#!/usr/bin/env python3
"""How long from upload to result, through HTTP, Redis and the worker.

``python bench/upload_to_result.py`` starts a portal of its own in a temporary folder, sends 100
pictures one after another, then as many from 4 clients at once, and prints a table and JSON.
``--base URL`` measures a portal that runs already. Exit status 1 when an answer is missing, or
when the same picture got different answers.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.client import Login, PortalClient, read_login  # noqa: E402

Picture = tuple[str, bytes]


@dataclass
class Series:
    """What one series of uploads measured. Times are in seconds."""

    clients: int
    times: list[float] = field(default_factory=list)
    answers: dict[str, set[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    wall_s: float = 0.0

    def summary(self) -> dict[str, Any]:
        ordered = sorted(self.times)
        return {
            "clients": self.clients,
            "results": len(ordered),
            "failures": len(self.failures),
            "p50_s": round(statistics.median(ordered), 4) if ordered else None,
            "p95_s": round(ordered[int(0.95 * (len(ordered) - 1))], 4) if ordered else None,
            "max_s": round(ordered[-1], 4) if ordered else None,
            "per_second": round(len(ordered) / self.wall_s, 2) if self.wall_s else None,
            "per_minute": round(60 * len(ordered) / self.wall_s, 1) if self.wall_s else None,
        }


@contextmanager
def own_portal(folder: Path) -> Iterator[tuple[str, Path]]:
    """A portal started as ``make run`` starts it; yields its address and its login file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "THORASCREEN_VAR": str(folder / "var"), "PORT": str(port)}
    with (folder / "output.log").open("w+b") as output:
        portal = subprocess.Popen(
            [sys.executable, "-m", "portal.embedded"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )
        try:
            while b"is ready at" not in (folder / "output.log").read_bytes():
                if portal.poll() is not None:
                    raise RuntimeError((folder / "output.log").read_text())
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}", folder / "var" / "first-login.txt"
        finally:
            if portal.poll() is None:
                portal.send_signal(signal.SIGINT)
            portal.wait(timeout=60)


def phantom(folder: Path) -> Path:
    """A drawn chest, for whoever has no X-ray at hand."""
    path = folder / "phantom.png"
    subprocess.run([sys.executable, "-m", "ml", "phantom", str(path)], cwd=ROOT, check=True)
    return path


def fingerprint(image: dict[str, Any]) -> str:
    return json.dumps([image.get("label"), image.get("probabilities")], sort_keys=True)


def one_client(
    base: str, login: Login, pictures: list[Picture], count: int, every_s: float, series: Series
) -> None:
    """Send ``count`` pictures one after another, each into a study of its own."""
    client = PortalClient(base)
    client.sign_in(login)
    patient = client.create_patient()
    for number in range(count):
        name, content = pictures[number % len(pictures)]
        started = time.monotonic()
        try:
            sent = client.upload(patient, [(name, content)])
            study = client.wait(sent["id"], timeout_s=60, every_s=every_s)
        except Exception as error:
            series.failures.append(f"{type(error).__name__}: {error}")
            continue
        seconds = time.monotonic() - started
        if study["status"] != "done":
            series.failures.append(f"{study['status']}: {study['images'][0].get('code')}")
            continue
        series.times.append(seconds)
        series.answers.setdefault(name, set()).add(fingerprint(study["images"][0]))


def measure(
    base: str, login: Login, pictures: list[Picture], *, uploads: int, clients: int, every_s: float
) -> Series:
    """Run ``clients`` at once that together send ``uploads`` pictures."""
    series = Series(clients)
    share = uploads // clients
    threads = [
        threading.Thread(target=one_client, args=(base, login, pictures, share, every_s, series))
        for _ in range(clients)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    series.wall_s = time.monotonic() - started
    return series


def table(summaries: list[dict[str, Any]]) -> str:
    columns = ("clients", "results", "failures", "p50_s", "p95_s", "per_second", "per_minute")
    lines = ["".join(f"{name:>12}" for name in columns)]
    lines += ["".join(f"{row[name]!s:>12}" for name in columns) for row in summaries]
    return "\n".join(lines)


def run(base: str, login: Login, paths: list[Path], options: argparse.Namespace) -> int:
    pictures = [(path.name, path.read_bytes()) for path in paths]
    measure(base, login, pictures, uploads=5, clients=1, every_s=0.02)  # Warms everything up.
    alone = measure(base, login, pictures, uploads=options.uploads, clients=1, every_s=0.01)
    together = measure(
        base, login, pictures, uploads=options.uploads, clients=options.clients, every_s=0.05
    )
    same = all(
        len(alone.answers.get(name, set()) | together.answers.get(name, set())) == 1
        for name, _ in pictures
    )
    summaries = [alone.summary(), together.summary()]
    report = {
        "one_client": summaries[0],
        "many_clients": summaries[1],
        "same_answers": same,
        "cpu_count": os.cpu_count(),
        "image_bytes": [len(content) for _, content in pictures],
        "first_failures": (alone.failures + together.failures)[:3],
    }
    print(table(summaries))
    print(f"same picture, same answer: {'yes' if same else 'NO'}")
    print(json.dumps(report))
    return 0 if same and not alone.failures and not together.failures else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("images", nargs="*", type=Path, help="default: one drawn phantom")
    parser.add_argument("--base", help="a portal that runs already; default: start one")
    parser.add_argument("--first-login", type=Path, default=ROOT / "var" / "first-login.txt")
    parser.add_argument("--uploads", type=int, default=100)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        paths = options.images or [phantom(folder)]
        if options.base:
            return run(options.base, read_login(options.first_login), paths, options)
        with own_portal(folder) as (base, login_file):
            return run(base, read_login(login_file), paths, options)


if __name__ == "__main__":
    sys.exit(main())
