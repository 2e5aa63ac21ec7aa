"""Feeds files that atheris invents to the reader of files, and stops at the first crash.

``python -m tests.fuzz gate --runs 100000`` for whatever comes in, ``dicom`` for films only. A crash
is an exception that is not a refusal, a file that takes more than ``PATIENCE_S`` of processor time
or does not end within ``HANG_S``, or a process that grows beyond ``MEMORY_MB``; the file that did
it is written to ``--keep``. The same ``--seed`` and number of runs try the same files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import atheris

PATIENCE_S: Final = 5
HANG_S: Final = 60
"""By the clock, and so with room for a machine that is busy with something else."""
MEMORY_MB: Final = 1024
LONGEST: Final = 16_384

OPENING: Final = ["ml.imaging", "pydicom", "PIL", "screening.studies.decoder"]
"""What is instrumented: codecs in C are run as well, but do not guide."""

with atheris.instrument_imports(include=OPENING, enable_loader_override=False):
    from tests.fuzz import targets

from tests.fuzz import seeds  # noqa: E402


class TooSlow(Exception):
    """A small file that keeps a decoder busy."""


def timed(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        started = time.process_time()
        target(data)
        if time.process_time() - started > PATIENCE_S:
            raise TooSlow

    return run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(targets.TARGETS))
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=0, help="stop after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the corpus and for crashes")
    options = parser.parse_args()
    target = timed(targets.TARGETS[options.target])
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        kept = options.keep or Path(folder)
        corpus = kept / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(seeds.of(options.target).values()):
            (corpus / f"seed-{number:03d}").write_bytes(data)
        atheris.Setup(
            [
                sys.argv[0],
                str(corpus),
                f"-runs={options.runs}",
                f"-max_total_time={options.seconds}",
                f"-seed={options.seed}",
                f"-timeout={HANG_S}",
                f"-rss_limit_mb={MEMORY_MB}",
                f"-max_len={LONGEST}",
                f"-artifact_prefix={kept}/",
                "-print_final_stats=1",
            ],
            target,
        )
        atheris.Fuzz()


main()
