"""The sweeper's turn comes whatever is done to the clock."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings

from portal.schedule import Every


@pytest.mark.parametrize(
    ("ago_s", "due"), [(0, False), (4, False), (6, True), (-4000, True), (-40_000_000, True)]
)
def test_due_after_its_seconds_or_when_the_last_run_lies_ahead(ago_s: float, due: bool) -> None:
    last = datetime.now(UTC) - timedelta(seconds=ago_s)
    state = Every(5).is_due(last)
    assert state.is_due is due
    assert 0 < state.next <= 5


def test_the_scheduler_can_keep_it_on_disk_and_the_sweeper_uses_it() -> None:
    sweep = settings.CELERY_BEAT_SCHEDULE["sweep-jobs"]["schedule"]
    assert isinstance(sweep, Every)
    kept = pickle.loads(pickle.dumps(sweep))  # noqa: S301  (our own bytes)
    assert (type(kept), kept.seconds) == (Every, settings.INFERENCE_SWEEP_EVERY_S)
