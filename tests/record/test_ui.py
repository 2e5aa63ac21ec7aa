"""Ages, percentages and days as people read them."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from screening.record.templatetags import ui

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (1.0, "> 99%"),
        (0.995, "> 99%"),
        (0.9949, "99%"),
        (0.5, "50%"),
        (0.005, "1%"),
        (0.0049, "< 1%"),
        (0.0, "< 1%"),
    ],
)
def test_a_share_never_looks_more_certain_than_it_is(share: float, shown: str) -> None:
    assert ui.percent(share) == shown


@pytest.mark.parametrize(
    ("birth", "shown"),
    [
        (dt.date(1962, 3, 14), "64 years"),
        (dt.date(1962, 11, 21), "64 years"),
        (dt.date(1962, 11, 22), "63 years"),
        (dt.date(2024, 11, 22), "23 months"),
        (dt.date(2026, 10, 21), "1 month"),
        (dt.date(2026, 10, 22), "30 days"),
        (dt.date(2026, 11, 20), "1 day"),
        (dt.date(2026, 11, 21), "0 days"),
        (None, ""),
    ],
)
def test_age_is_given_in_the_unit_that_fits(
    birth: dt.date | None, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timezone, "localdate", lambda: dt.date(2026, 11, 21))
    assert ui.age(birth) == shown


def test_recent_days_have_names() -> None:
    now = timezone.now()
    assert ui.day(now) == "Today"
    assert ui.day(now - dt.timedelta(days=1)) == "Yesterday"
    assert ui.day(dt.datetime(2020, 2, 3, 12, tzinfo=dt.UTC)) == "3 Feb 2020"
