"""One decoder as the portal sees it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy.typing as npt

from ml.imaging import ImageHeader, Limits, sniff
from screening.studies.decoder import wire
from screening.studies.decoder.confinement import LIFE_CPU_S

TroubleCode = Literal["decoder_died", "decode_timeout", "decoder_busy", "out_of_memory"]

T = TypeVar("T")

CHILD: Final = Path(__file__).with_name("child.py")
ENVIRONMENT: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""All that a decoder is told of the machine: no secret of the portal's own environment."""
START_S: Final = 60.0
MOST_FILES: Final = 500
MOST_RESIDENT_BYTES: Final = 256 * 1024 * 1024
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Trouble(Exception):
    """A file was not opened for a reason that may lie elsewhere; ``code`` says which."""

    def __init__(self, code: TroubleCode) -> None:
        super().__init__(code)
        self.code: TroubleCode = code


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What a decoder saw, checked: ``pixels`` is read-only and (height, width) of ``header``."""

    header: ImageHeader
    pixels: npt.NDArray[Any]
    said: dict[str, Any]


class Decoder:
    """A process that opens files, and everything that it may be asked.

    Not for several threads at once. After a ``Trouble`` or any other exception than
    ``ImagingError`` the process is gone.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._link, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-I", str(CHILD), str(other.fileno())]
        command += [str(os.getpid()), str(memory_bytes)]
        self._process: subprocess.Popen[bytes] | None = None
        self._files = 0
        self._cpu_s = 0.0
        started = threading.Event()

        def keep() -> None:
            # The kernel ends a decoder with the thread that started it, so that thread stays.
            try:
                self._process = process = subprocess.Popen(
                    command,
                    cwd="/",
                    env=ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # What a parser says may quote the file.
                    pass_fds=(other.fileno(),),
                    start_new_session=True,
                )
            except OSError:
                return
            finally:
                other.close()
                started.set()
            process.wait()

        self._keeper = threading.Thread(target=keep, name="decoder", daemon=True)
        try:
            self._keeper.start()
            started.wait()
            ready, _ = self._hear(time.monotonic() + START_S)
        except BaseException as error:
            self.end()
            if isinstance(error, KeyError) and error.__context__ is not None:
                # A time limit that strikes inside ``Thread.start`` makes it stumble over its own
                # list of threads; what struck is what has to be known.
                raise error.__context__ from None
            raise
        self.filtered = ready.get("filtered") is True

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def open_file(
        self,
        data: bytes,
        wish: wire.Wish,
        limits: Limits,
        read: Callable[[Opened], T],
        *,
        patience_s: float,
    ) -> T:
        """Have one file opened, and ``read`` make of it what the caller wants.

        :raises ImagingError: the file is refused.
        :raises Trouble: it took too long, or the decoder died of it or of something else.
        """
        deadline = time.monotonic() + patience_s
        try:
            said = self._ask(data, wish, limits, deadline)
            if "refused" in said:
                refusal = limits.refusal(wire.refusal_from(said["refused"]))
            elif "trouble" in said:
                raise Trouble("out_of_memory")
            else:
                return read(self._fetch(said, data, wish, limits, deadline))
        except (wire.Untrue, EOFError, OSError):
            self.end()
            raise Trouble("decoder_died") from None
        except BaseException:
            self.end()
            raise
        raise refusal

    def _ask(self, data: bytes, wish: wire.Wish, limits: Limits, deadline: float) -> dict[str, Any]:
        self._files += 1
        numbers = (limits.max_bytes, limits.max_pixels, limits.min_side)
        descriptor = wire.memory_of(data)
        try:
            wire.send(self._link, {"wish": wish, "limits": numbers}, descriptor)
        finally:
            os.close(descriptor)
        said, _ = self._hear(deadline)
        spent = said.get("cpu_s")
        self._cpu_s = float(spent) if isinstance(spent, (int, float)) else LIFE_CPU_S
        return said

    def _fetch(
        self, said: dict[str, Any], data: bytes, wish: wire.Wish, limits: Limits, deadline: float
    ) -> Opened:
        header = wire.header_from(said.get("header"), limits)
        if header.format != sniff(data):
            raise wire.Untrue("format")
        kind, size = wire.array_of(said, wish, header)
        descriptor = wire.empty_memory(size)
        try:
            wire.send(self._link, {}, descriptor)
            done, _ = self._hear(deadline)
            if done != {"written": True}:
                raise wire.Untrue("pixels")
            wire.seal(descriptor, wire.SEAL_CONTENT)
            pixels = wire.array_in(descriptor, kind, (header.height, header.width))
        finally:
            os.close(descriptor)
        return Opened(header, pixels, said)

    def _hear(self, deadline: float) -> tuple[dict[str, Any], list[int]]:
        """The next message. Polls, so that a signal's exception gets through at once."""
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                self.end()
                raise Trouble("decode_timeout")
            if poll.poll(min(left, 1.0) * 1000):
                return wire.receive(self._link)

    def worn_out(self) -> bool:
        """Whether it is time for a fresh one: libraries leak, and nothing shall linger."""
        if self._process is None or self._process.poll() is not None:
            return True
        return (
            self._files >= MOST_FILES
            or self._cpu_s > LIFE_CPU_S / 2
            or self.resident_bytes() > MOST_RESIDENT_BYTES
        )

    def resident_bytes(self) -> int:
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()
        except OSError:
            return 0
        return int(fields[1]) * PAGE

    def end(self) -> None:
        """Kill it; nobody waits for what it may still be doing."""
        self._link.close()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def forget(self) -> None:
        """Close this side without a word: in a forked process, where it is somebody else's."""
        self._link.close()
