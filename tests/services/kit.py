"""Real processes for tests: a Celery worker, and the whole portal as ``make run`` starts it."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psutil
from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent.parent
Found = TypeVar("Found")


def wait_for(
    question: Callable[[], Found], *, seconds: float = 30, what: str = "", every: float = 0.05
) -> Found:
    """Ask until the answer is truthy and return it; fail with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what or question}")
        time.sleep(every)


def free_port() -> int:
    """A TCP port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class WorkerProcess:
    """A real ``celery worker`` on the test's own database, files and broker.

    Use it as a context manager in tests marked ``django_db(transaction=True)``; other tests
    keep their rows in a transaction that no other process sees. ``environment`` overrides
    settings, for instance ``{"INFERENCE_LEASE_S": "3"}``. On failure the worker's log is part
    of the message.
    """

    def __init__(
        self,
        folder: Path,
        *,
        concurrency: int = 1,
        queues: str = "inference,default",
        beat: bool = False,
        environment: dict[str, str] | None = None,
        name: str = "worker",
    ) -> None:
        self.log_path = folder / f"{name}.log"
        self.ready_file = folder / f"{name}.ready"
        self._command = [sys.executable, "-m", "celery", "-A", "portal", "worker"]
        self._command += ["--queues", queues, "--concurrency", str(concurrency)]
        self._command += ["--hostname", f"{name}-{os.getpid()}-{id(self)}@%h"]
        self._command += ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
        if beat:
            self._command += ["--beat", "--schedule", str(folder / f"{name}-schedule")]
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "portal.settings.test",
            "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
            "TEST_RUN_DIR": str(settings.TEST_RUN_DIR),
            "TEST_REDIS_URL": str(settings.REDIS_URL),
            "TEST_MEDIA_ROOT": str(settings.MEDIA_ROOT),
            "WORKER_READY_FILE": str(self.ready_file),
            "OMP_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "LOG_LEVEL": "INFO",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, seconds: float = 60) -> WorkerProcess:
        self.ready_file.unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        wait_for(
            lambda: self.ready_file.exists() or self._process.poll() is not None,  # type: ignore[union-attr]
            seconds=seconds,
            what=f"the worker to be ready:\n{self.log()}",
        )
        if self._process.poll() is not None:
            raise AssertionError(f"the worker ended at once:\n{self.log()}")
        return self

    def log(self) -> str:
        """What the worker wrote so far (the last 200 lines)."""
        if not self.log_path.exists():
            return ""
        text = self.log_path.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-200:])

    def children(self) -> list[int]:
        """The process ids of the pool: those that do the work."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    def kill_children(self) -> None:
        """``kill -9`` of the processes that work, as the kernel does when memory runs out."""
        for pid in self.children():
            os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """``kill -9`` of the whole worker: nobody can say good-bye."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly end; work at hand is finished first."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait(timeout=20)

    def __enter__(self) -> WorkerProcess:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._end(signal.SIGKILL)
        if error is not None:
            print(f"--- log of {self.log_path.name} ---\n{self.log()}")


class Stack:
    """The whole portal as ``make run`` starts it, in a folder of its own on a free port."""

    def __init__(
        self, folder: Path, *, port: int | None = None, environment: dict[str, str] | None = None
    ) -> None:
        self.var = folder
        self.port = port or free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.output_path = folder.parent / f"{folder.name}-output.log"
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TEST_", "DJANGO_", "CELERY_"))
        }
        self._environment = {
            **inherited,
            "THORASCREEN_VAR": str(folder),
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._output_from = 0

    def start(self, *, seconds: float = 120) -> Stack:
        if self.output_path.exists():  # A portal ran in this folder before.
            self._output_from = self.output_path.stat().st_size
        with self.output_path.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portal.embedded"],
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        process = self.process
        wait_for(
            lambda: "is ready at" in self.output() or process.poll() is not None,
            seconds=seconds,
            what="the portal to be ready",
        )
        if process.poll() is not None:
            raise AssertionError(f"the portal did not start:\n{self.output()}\n{self.logs()}")
        return self

    def output(self) -> str:
        """What ``make run`` shows on the terminal, from this start on."""
        if not self.output_path.exists():
            return ""
        return self.output_path.read_bytes()[self._output_from :].decode(errors="replace")

    def logs(self) -> str:
        """The ends of all log files, for the message of a failed test."""
        parts = []
        for path in sorted((self.var / "log").glob("*.log")):
            text = path.read_text(encoding="utf-8", errors="replace")
            parts.append(f"--- {path.name} ---\n" + "\n".join(text.splitlines()[-40:]))
        return "\n".join(parts)

    def processes(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        assert self.process is not None
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def login(self, role: str) -> tuple[str, str]:
        """User name and password of ``admin`` or ``clinician`` from ``first-login.txt``."""
        for line in (self.var / "first-login.txt").read_text(encoding="utf-8").splitlines():
            name, _, rest = line.partition(":")
            if name.strip() == role:
                username, password = rest.split()
                return username, password
        raise AssertionError(f"no {role} in first-login.txt")

    def manage(self, *command: str) -> str:
        """``manage.py`` of this portal; what it says."""
        done = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env={**self._environment, "DJANGO_SETTINGS_MODULE": "portal.settings.embedded"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask_for_passwords_only(self) -> None:
        """Let the site's administrators in without a second factor, as their site may decide.

        A code of an authenticator app works once, so many sign-ins in one half minute would have
        to wait for each other.
        """
        with closing(sqlite3.connect(self.var / "db.sqlite3", timeout=20)) as database, database:
            database.execute("UPDATE accounts_site SET second_factor_roles = '[]'")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask for the end as Ctrl-C does; return the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            for process in self.processes():
                process.kill()
            self.process.wait(timeout=10)
            raise AssertionError(f"the portal did not stop:\n{self.output()}") from None


@contextmanager
def running_stack(folder: Path, *, environment: dict[str, str] | None = None) -> Iterator[Stack]:
    """A started portal that is stopped afterwards, come what may."""
    stack = Stack(folder, environment=environment)
    try:
        stack.start()
        stack.ask_for_passwords_only()
        yield stack
    finally:
        if stack.process is not None:
            stack.stop()
