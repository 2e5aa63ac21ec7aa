"""What every test may rely on: a database of its own shape, a real broker, private files.

``pytest`` alone runs the embedded shape; ``python -m tests.shapes`` runs both.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connections
from django.test import TransactionTestCase
from django.utils import timezone, translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.embedded_redis import EmbeddedRedis

_redis: EmbeddedRedis | None = None

# How long an example takes says how busy the machine is, and nothing of the code.
hypothesis_settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder, start its broker, and tell processes of the tests where both are."""
    global _redis
    if config.option.collectonly:
        return
    run_dir = Path(django_settings.TEST_RUN_DIR)
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["TEST_RUN_DIR"] = str(run_dir)
    if not os.environ.get("TEST_REDIS_URL"):
        _redis = EmbeddedRedis(run_dir / "redis", run_dir / "redis.sock")
        _redis.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    global _redis
    if config.option.collectonly:
        return
    if _redis is not None:
        _redis.stop()
        _redis = None
    shutil.rmtree(django_settings.TEST_RUN_DIR, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what belongs to the other shape only."""
    if django_settings.TEST_SHAPE == "server":
        return
    elsewhere = [item for item in items if item.get_closest_marker("server")]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if not item.get_closest_marker("server")]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Leave the figures where the launcher of both shapes reads them."""
    target = os.environ.get("TEST_COUNTS_FILE")
    if not target:
        return
    stats = terminalreporter.stats
    counts = {
        "passed": len(stats.get("passed", [])) + len(stats.get("xpassed", [])),
        "failed": len(stats.get("failed", [])) + len(stats.get("error", [])),
        "skipped": len(stats.get("skipped", [])) + len(stats.get("xfailed", [])),
        "run again": len(stats.get("rerun", [])),
    }
    Path(target).write_text(json.dumps(counts), encoding="utf-8")


def _empty_database_although_append_only(case: Any) -> None:
    """Let a test's database be emptied: the rooms' triggers forbid that, as they should."""
    from screening.audit import triggers as audit_triggers
    from screening.governance import triggers as governance_triggers
    from screening.inference import triggers as inference_triggers
    from screening.patients import triggers as patients_triggers
    from screening.reading import triggers as reading_triggers
    from screening.report import triggers as report_triggers

    connection = connections["default"]
    closed = (
        audit_triggers,
        governance_triggers,
        inference_triggers,
        patients_triggers,
        reading_triggers,
        report_triggers,
    )
    for triggers in closed:
        triggers.drop(connection)
    try:
        _empty_database(case)
    finally:
        for triggers in closed:
            triggers.install(connection)


_empty_database = TransactionTestCase._fixture_teardown
TransactionTestCase._fixture_teardown = _empty_database_although_append_only  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def media_root(settings: Any, tmp_path: Path) -> Path:
    """An empty private folder for images, for each test."""
    folder = tmp_path / "media"
    folder.mkdir(mode=0o700)
    settings.MEDIA_ROOT = str(folder)
    settings.AUDIT_ANCHORS = tmp_path / "anchors"
    return folder


@pytest.fixture(autouse=True)
def language_and_zone() -> Iterator[None]:
    """Each test begins in English and UTC: a request leaves its reader's choice in the thread."""
    yield
    translation.deactivate()
    timezone.deactivate()


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The address of the real Redis of this shape."""
    return str(django_settings.REDIS_URL)


@pytest.fixture
def broker(redis_url: str) -> Iterator[redis.Redis]:
    """The broker, empty before and after the test."""
    client = redis.Redis.from_url(redis_url, socket_timeout=5)
    client.flushall()
    yield client
    client.flushall()
    client.close()


@pytest.fixture(scope="session")
def shape() -> str:
    """``embedded`` or ``server``."""
    return str(django_settings.TEST_SHAPE)
