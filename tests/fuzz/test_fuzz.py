"""A fixed number of runs with a fixed seed: no file may do anything but be opened or refused."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import seeds

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent.parent
RUNS = {"gate": 700, "dicom": 700}


def fuzz(target: str, runs: int, *, seed: int = 1) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target, "--runs", str(runs), "--seed", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


@pytest.mark.parametrize("target", RUNS)
def test_the_fuzzer_finds_nothing(target: str) -> None:
    if importlib.util.find_spec("atheris") is None:
        reason = "atheris is not installed: it has no wheel for this machine or this Python"
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    done = fuzz(target, RUNS[target])
    assert done.returncode == 0, done.stderr[-4000:]
    executed = re.search(r"stat::number_of_executed_units: +(\d+)", done.stderr)
    assert executed is not None
    assert int(executed[1]) >= RUNS[target]
    coverage = re.search(r"cov: (\d+)", done.stderr)
    assert coverage is not None
    assert int(coverage[1]) > 500, "the code under test is not instrumented"


@pytest.mark.parametrize("name", sorted(seeds.of("gate")))
def test_every_seed_and_every_finding_holds(name: str) -> None:
    from tests.fuzz import targets

    targets.gate(seeds.of("gate")[name])
    targets.dicom(seeds.of("gate")[name])
