"""Which process works on a job, and whether that process is still there.

An identity names the machine, its boot, the process namespace (containers may share a host
name), the process and the moment it started, so that a number that was given to another process
later is not mistaken for it. Needs Linux's ``/proc``; elsewhere nobody is ever taken for gone,
and a lost job waits for its lease to end.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_STATE = 0
_START_TIME = 19
"""Places in ``/proc/<pid>/stat`` after the command's closing bracket; see proc(5)."""
_DEAD_STATES = frozenset({"Z", "X", "x"})


def identity() -> str:
    """Who this process is, at most 120 characters."""
    pid = os.getpid()
    return f"{here()}{pid}:{_start_time(pid) or ''}"


@cache
def here() -> str:
    """What the identities of all processes that can be seen from this one begin with."""
    host = socket.gethostname()[:48].replace(":", "-")
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
        namespace = str((_PROC / "self/ns/pid").stat().st_ino)
    except OSError:
        boot = namespace = ""
    return f"{host}:{boot}:{namespace}:"


def is_gone(worker: str) -> bool:
    """Whether ``worker``, an identity, is for certain not running any more."""
    if not worker.startswith(here()) or not (_PROC / "self/stat").exists():
        return False
    pid, _, started = worker.removeprefix(here()).partition(":")
    if not pid.isdigit() or not started:
        return False
    return _start_time(int(pid)) != started


def _start_time(pid: int) -> str | None:
    """When the process started, in clock ticks since boot; ``None`` when there is none."""
    try:
        line = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name stands in brackets and may itself contain brackets and spaces.
    fields = line.rpartition(")")[2].split()
    if len(fields) <= _START_TIME or fields[_STATE] in _DEAD_STATES:
        return None
    return fields[_START_TIME]
