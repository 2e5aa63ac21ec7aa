"""The decoders of one process of the portal: few, started when first needed, replaced in time."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ml.imaging import ImagingError, Limits
from screening.studies.decoder.process import Decoder, Opened, Trouble
from screening.studies.decoder.wire import Wish

T = TypeVar("T")


class Pool:
    """Up to ``size`` decoders; whoever comes while all are busy waits for a turn.

    So ``size`` times ``memory_bytes`` bounds what opening files may cost at one moment.
    """

    def __init__(self, *, size: int, memory_bytes: int, patience_s: float) -> None:
        self._memory_bytes = memory_bytes
        self._patience_s = patience_s
        self._turns: queue.LifoQueue[Decoder | None] = queue.LifoQueue()
        for _ in range(size):
            self._turns.put(None)

    def open_file(self, data: bytes, wish: Wish, limits: Limits, read: Callable[[Opened], T]) -> T:
        """Have a file opened by the next decoder that is free, and ``read`` make something of it.

        :raises ImagingError: the file is refused.
        :raises Trouble: it was not opened for another reason.
        """
        with self._turn() as decoder:
            return decoder.open_file(data, wish, limits, read, patience_s=self._patience_s)

    @contextmanager
    def _turn(self) -> Iterator[Decoder]:
        try:
            decoder = self._turns.get(timeout=2 * self._patience_s)
        except queue.Empty:
            raise Trouble("decoder_busy") from None
        try:
            if decoder is None or decoder.worn_out():
                if decoder is not None:
                    decoder.end()
                decoder = None
                decoder = self._start()
            try:
                yield decoder
            except ImagingError:
                raise
            except BaseException:
                decoder = None  # ``open_file`` has ended it.
                raise
        finally:
            self._turns.put(decoder)

    def _start(self) -> Decoder:
        try:
            return Decoder(self._memory_bytes)
        except (EOFError, OSError):
            raise Trouble("decoder_died") from None

    def decoders(self) -> list[Decoder]:
        """Those that are idle at this moment."""
        return [decoder for decoder in list(self._turns.queue) if decoder is not None]

    def close(self) -> None:
        """End the idle ones; whoever is at work ends with its file."""
        for _ in range(self._turns.qsize()):
            try:
                decoder = self._turns.get_nowait()
            except queue.Empty:
                return
            if decoder is not None:
                decoder.end()
            self._turns.put(None)

    def forget(self) -> None:
        for decoder in self.decoders():
            decoder.forget()


_lock = threading.Lock()
_pool: Pool | None = None


def pool(*, size: int, memory_bytes: int, patience_s: float) -> Pool:
    """This process's pool, made when it is first asked for."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = Pool(size=size, memory_bytes=memory_bytes, patience_s=patience_s)
        return _pool


def close() -> None:
    """End this process's decoders; the next file starts others, with the settings of then."""
    global _pool
    with _lock:
        if _pool is not None:
            _pool.close()
        _pool = None


def _forget() -> None:
    """A forked process has none: those it sees are its parent's."""
    global _pool, _lock
    _lock = threading.Lock()
    if _pool is not None:
        _pool.forget()
    _pool = None


os.register_at_fork(after_in_child=_forget)
