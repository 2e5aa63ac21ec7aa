"""The stability index: quiet where nothing has changed, loud where something has."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screening.insight.drift import LEAST, LIMIT, stability_index

histograms = st.lists(st.integers(0, 500), min_size=10, max_size=10)


@given(histograms)
def test_a_week_like_the_reference_has_not_drifted(histogram: list[int]) -> None:
    index = stability_index(histogram, histogram)
    assert index is None if sum(histogram) < LEAST else index == 0.0


@given(histograms, histograms)
def test_the_index_is_never_negative(reference: list[int], week: list[int]) -> None:
    index = stability_index(reference, week)
    assert index is None or index >= 0.0


@pytest.mark.parametrize("size", [LEAST, 100, 300])
def test_chance_alone_seldom_raises_the_alarm(size: int) -> None:
    dice = random.Random(4)
    weights = [30, 14, 9, 7, 6, 6, 6, 7, 8, 7]

    def week(n: int) -> list[int]:
        drawn = dice.choices(range(10), weights, k=n)
        return [drawn.count(number) for number in range(10)]

    alarms = sum((stability_index(week(400), week(size)) or 0.0) > LIMIT for _ in range(200))
    assert alarms <= 4


def test_a_shift_is_found() -> None:
    before = [300, 60, 20, 10, 5, 5, 0, 0, 0, 0]
    after = [100, 60, 60, 60, 40, 30, 20, 10, 10, 10]
    index = stability_index(before, after)
    assert index is not None
    assert index > LIMIT


def test_few_values_say_nothing() -> None:
    assert stability_index([LEAST - 1, 0], [0, 1000]) is None
    assert stability_index([1000, 0], [0, LEAST - 1]) is None
