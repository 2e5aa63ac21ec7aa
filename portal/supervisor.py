"""Keeps a handful of child processes alive, and takes them all along when it goes.

Only the standard library: this must work while everything else is broken.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

PR_SET_PDEATHSIG = 1
LOG_LIMIT_BYTES = 10 * 1024 * 1024
LOGS_KEPT = 3
BACK_OFF_FIRST_S = 0.5
BACK_OFF_MOST_S = 30.0
CALM_AFTER_S = 60.0  # A child that lived this long is forgiven its earlier deaths.

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int, death_signal: int) -> Callable[[], None]:
    """A function for the new child: ask the kernel to end it when the supervisor ends.

    Even ``kill -9`` of the supervisor then leaves no orphan behind.
    """

    def ask() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # It died before the kernel knew.
            os._exit(1)

    return ask


@dataclass
class Service:
    """One child process, its log file, and how to end it.

    ``stop_signal`` asks for an orderly end; after ``patience_s`` seconds the whole process
    group is killed. ``death_signal`` is what the kernel sends should the supervisor vanish.
    """

    name: str
    command: Sequence[str]
    log_path: Path
    environment: Mapping[str, str]
    stop_signal: int = signal.SIGTERM
    patience_s: float = 8.0
    death_signal: int = signal.SIGKILL
    before_start: Callable[[], None] | None = None
    deaths: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _started_at: float = 0.0
    _start_again_at: float | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        if self.before_start is not None:
            self.before_start()
        self._start_again_at = None
        self._started_at = time.monotonic()
        with open(self.log_path, "ab", opener=_private_opener) as log:
            self._process = subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                start_new_session=True,
                preexec_fn=die_with_parent(os.getpid(), self.death_signal),
            )

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def revive(self, say: Callable[[str], None]) -> None:
        """Start a child that died once more, a little later each time."""
        now = time.monotonic()
        if self.running():
            if self.deaths and now - self._started_at > CALM_AFTER_S:
                self.deaths = 0
            return
        if self._start_again_at is None:
            wait = min(BACK_OFF_FIRST_S * 2**self.deaths, BACK_OFF_MOST_S)
            self.deaths += 1
            self._start_again_at = now + wait
            say(
                f"The {self.name} ended ({self.how_it_ended()}); "
                f"starting it again in {wait:g} s. Its words are in {self.log_path}"
            )
            self._kill_group()  # What it left behind must not compete with its successor.
        elif now >= self._start_again_at:
            self.start()

    def how_it_ended(self) -> str:
        code = self._process.returncode if self._process else None
        if code is None:
            return "not started"
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.stop_signal)

    def wait_until_stopped(self) -> None:
        """Wait for an orderly end, then end it by force; also ends what it started itself."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout=self.patience_s)
        except subprocess.TimeoutExpired:
            self._kill_group()
            self._process.wait()
        self._kill_group()
        self._process = None

    def _kill_group(self) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def rotate_log(self) -> None:
        """Keep the log small. The child holds the file open, so it is copied and emptied."""
        try:
            if self.log_path.stat().st_size < LOG_LIMIT_BYTES:
                return
        except FileNotFoundError:
            return
        older = [
            self.log_path.with_name(f"{self.log_path.name}.{n}") for n in range(1, LOGS_KEPT + 1)
        ]
        for newer, elder in reversed(list(pairwise(older))):
            if newer.exists():
                newer.replace(elder)
        shutil.copy(self.log_path, older[0])
        os.truncate(self.log_path, 0)

    def last_words(self, lines: int = 15) -> str:
        """The end of the log, for somebody who has to find out what is wrong."""
        try:
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
