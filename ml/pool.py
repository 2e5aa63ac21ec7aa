"""Looking at many files with a network, in as many processes as there are cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Final, TypeVar

A = TypeVar("A")
T = TypeVar("T")

MOST: Final = 8
BATCH: Final = 16


def look_at(
    files: Sequence[A],
    look: Callable[[A], T],
    start: Callable[..., None],
    asked: tuple[Any, ...],
    *,
    processes: int | None = None,
    worth: int,
) -> Iterator[T]:
    """What ``look`` says of each file, in their order.

    :param files: paths, or what else names a file and how to look at it.
    :param start: called with ``asked`` once in each process, before its first file.
    :param processes: None for one a core, ``MOST`` at most.
    :param worth: fewer files than this are looked at in this process.
    """
    count = processes if processes is not None else min(MOST, len(os.sched_getaffinity(0)))
    if count < 2 or len(files) < worth:
        start(*asked)
        yield from map(look, files)
        return
    # spawned, not forked: a runtime that has already been loaded here does not survive a fork
    with ProcessPoolExecutor(
        count, get_context("spawn"), initializer=start, initargs=asked
    ) as pool:
        yield from pool.map(look, files, chunksize=BATCH)
