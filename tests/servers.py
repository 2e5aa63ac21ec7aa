"""Private PostgreSQL and Redis servers on free ports, for one test run."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import redis


class MissingProgram(Exception):
    """The server is not installed on this machine."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_program(name: str) -> str:
    """The newest installed PostgreSQL program of that name."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        raise MissingProgram(name)
    return found


def as_database_user() -> list[str]:
    """A prefix that gives up root: PostgreSQL's programs refuse to run as root."""
    if os.geteuid() != 0:
        return []
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise MissingProgram("the user postgres") from None
    if shutil.which("setpriv") is None:
        raise MissingProgram("setpriv")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


@contextmanager
def private_postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL of our own; yields its URL. Nothing it holds survives, so nothing is synced."""
    initdb, postgres = postgres_program("initdb"), postgres_program("postgres")
    prefix = as_database_user()
    home = folder / "pg"
    home.mkdir(mode=0o700)
    if prefix:
        user = pwd.getpwnam("postgres")
        os.chown(home, user.pw_uid, user.pw_gid)
    data = home / "data"
    made = subprocess.run(
        [*prefix, initdb, "-D", str(data), "-U", "portal", "-A", "trust", "--no-sync"],
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    if made.returncode != 0:
        raise RuntimeError(made.stderr)
    port = free_port()
    command = [*prefix, postgres, "-D", str(data), "-p", str(port), "-k", str(home)]
    for option in (
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "max_connections=60",
    ):
        command += ["-c", option]
    with (folder / "postgres.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
    url = f"postgresql://portal@127.0.0.1:{port}/postgres"
    try:
        wait_until(server, lambda: psycopg2.connect(url, connect_timeout=2).close())
        yield url
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def private_redis(folder: Path) -> Iterator[str]:
    """A Redis server of our own with a password; yields its URL."""
    program = shutil.which("redis-server")
    if program is None:
        raise MissingProgram("redis-server")
    home = folder / "redis-server"
    home.mkdir(mode=0o700)
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home)]
    command += ["--requirepass", "for-this-run", "--appendonly", "yes", "--save", ""]
    with (folder / "redis-server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"redis://:for-this-run@127.0.0.1:{port}/0"
    try:
        wait_until(server, lambda: redis.Redis.from_url(url).ping())
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)


def wait_until(server: subprocess.Popen[bytes], ask: object, *, seconds: float = 30) -> None:
    """Ask the new server until it answers."""
    assert callable(ask)
    deadline = time.monotonic() + seconds
    while True:
        try:
            ask()
        except (psycopg2.OperationalError, redis.RedisError):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("a private server did not start") from None
            time.sleep(0.05)
        else:
            return
