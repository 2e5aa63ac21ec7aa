"""Telling a process that lives from one that does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from screening.inference import workers
from tests.inference.stages import identity_of_the_dead

pytestmark = pytest.mark.once

SPEAK_AND_WAIT = (
    "from screening.inference.workers import identity; import time; "
    "print(identity(), flush=True); time.sleep(60)"
)


def test_this_process_lives() -> None:
    assert not workers.is_gone(workers.identity())
    assert len(workers.identity()) <= 120


def test_who_ended_is_gone() -> None:
    assert workers.is_gone(identity_of_the_dead())


def test_a_killed_process_is_gone_even_before_its_parent_looks() -> None:
    """Until it is waited for, a killed process is still in the table, as a zombie."""
    with subprocess.Popen([sys.executable, "-c", SPEAK_AND_WAIT], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        identity = child.stdout.readline().decode().strip()
        assert not workers.is_gone(identity)
        os.kill(child.pid, signal.SIGSTOP)
        assert not workers.is_gone(identity), "a process that is stopped may go on"
        os.kill(child.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not workers.is_gone(identity) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert workers.is_gone(identity)


def test_a_number_that_was_given_out_again_is_somebody_else() -> None:
    here, _, start = workers.identity().rpartition(":")
    assert workers.is_gone(f"{here}:{int(start) - 1}")


def test_nobody_judges_processes_of_other_machines() -> None:
    assert not workers.is_gone("elsewhere:0123abcd:4026531836:1:1")
    assert not workers.is_gone("")
    assert not workers.is_gone(workers.here())
