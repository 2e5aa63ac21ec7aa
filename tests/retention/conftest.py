from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.personas import *  # noqa: F403  (fixtures)


@pytest.fixture(autouse=True)
def erasure_list(settings: Any, tmp_path: Path) -> Path:
    """The list beside the database, for each test its own."""
    settings.ERASURE_LIST = tmp_path / "erasures.jsonl"
    return tmp_path / "erasures.jsonl"
