from __future__ import annotations

from tests.personas import *  # noqa: F403  (fixtures)
