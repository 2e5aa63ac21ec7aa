"""What is taken from a decoder before it sees a file. Linux only, like the portal.

Resource limits hold everywhere. The filter of system calls needs libseccomp, which every Debian
has; where it is missing the decoder runs without, and says so.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_NO_NEW_PRIVS: Final = 38

MOST_DESCRIPTORS: Final = 16
LIFE_CPU_S: Final = 600
"""Seconds of processor time in a whole life; the portal replaces a decoder long before."""

ALLOWED: Final = (
    *("read", "readv", "recvmsg", "recvfrom", "sendmsg", "sendto", "close", "lseek", "fcntl"),
    *("fstat", "newfstatat", "munmap", "mremap", "brk", "madvise", "futex", "rseq", "membarrier"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    *("clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrusage", "getcpu"),
    *("getrandom", "getpid", "gettid", "sched_yield", "sched_getaffinity", "exit", "exit_group"),
)
"""Everything else fails with EPERM: opening files, sockets, new processes and threads, signals to
others. Memory may be mapped as long as it can't be executed."""


def follow_parent(parent: int) -> None:
    """End with the process that started this one, even if that is killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # It died before the kernel knew.
        os._exit(1)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def confine(memory_bytes: int) -> bool:
    """Set the limits for good; return whether system calls are filtered as well."""
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, LIFE_CPU_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MOST_DESCRIPTORS),
        (resource.RLIMIT_NPROC, 0),
    ):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    return _filter_calls()


def _filter_calls() -> bool:
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError, AttributeError):
        return False
    calls = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    for name in ALLOWED:
        try:
            calls.add_rule(pyseccomp.ALLOW, name)
        except OSError:  # This machine has no such call.
            continue
    never_executable = pyseccomp.Arg(2, pyseccomp.MASKED_EQ, mmap.PROT_EXEC, 0)
    for name in ("mmap", "mprotect"):
        calls.add_rule(pyseccomp.ALLOW, name, never_executable)
    try:
        calls.load()
    except OSError:
        return False
    return sys.platform == "linux"
