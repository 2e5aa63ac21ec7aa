"""The throw-away world of the self-test, made once, in the tests' own database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from portal.selftest.registry import Bench
from portal.selftest.world import World, build_world
from tests.permissions.conftest import db, media_root, undone_after  # noqa: F401  (fixtures)


@pytest.fixture(scope="module")
def built(db: None) -> World:  # noqa: F811
    return build_world()


@pytest.fixture
def bench(built: World, tmp_path: Path) -> Bench:
    """Nobody's browser is open yet: sessions are undone with everything else."""
    return Bench(tmp_path, replace(built, open_browsers={}))
