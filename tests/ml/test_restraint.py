"""What a head is held back from: differences between sources, and changes with the surroundings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ml.data import Row
from ml.means import NOBODY, Exchanged
from ml.restraint import FEWEST, between_sources, with_surroundings


def rows_of(label: str, source: str, count: int) -> list[Row]:
    return [
        Row(Path("x.png"), label, source, name=f"{source}-{label}-{number}")
        for number in range(count)
    ]


def test_only_what_differs_within_a_class_is_held() -> None:
    rows = rows_of("covid", "one", FEWEST) + rows_of("covid", "two", FEWEST)
    rows += rows_of("normal", "one", FEWEST)
    means = np.zeros((len(rows), 2, 4), dtype=np.float32)
    for row, mean in zip(rows, means, strict=True):
        mean[:, 0] = 3.0 * (row.source == "two")  # a source's sign
        mean[:, 1] = 5.0 * (row.label == "normal")  # a class's sign
        mean[0, 2] = 2.0 * (row.source == "two")  # seen by one of two looks
    held = between_sources(means, rows)
    assert np.allclose(held, held.T)
    assert held[0, 0] == 9.0
    assert held[2, 2] == 2.0
    assert held[0, 2] == 3.0
    assert not held[1].any(), "what tells the classes is free"
    assert not held[3].any()


def test_a_handful_of_pictures_is_no_source() -> None:
    rows = rows_of("covid", "one", FEWEST) + rows_of("covid", "two", FEWEST - 1)
    means = np.random.default_rng(1).normal(size=(len(rows), 1, 3))
    assert not between_sources(means, rows).any()


def test_what_changes_with_the_surroundings_is_held() -> None:
    rows = rows_of("covid", "one", 3)
    # two looks and their mirror images, of which only the former were seen elsewhere
    means = np.random.default_rng(2).normal(size=(3, 4, 3)).astype(np.float32)
    names = tuple(row.name for row in rows)
    moved = means[:2, :2] + np.array([2.0, 0.0, -1.0], dtype=np.float32)
    exchanged = Exchanged(names[:2], (NOBODY, names[2]), moved)
    held = with_surroundings(means, rows, exchanged)
    np.testing.assert_allclose(held, [[4, 0, -2], [0, 0, 0], [-2, 0, 1]], atol=1e-5)
    strangers = Exchanged(names[:2], ("elsewhere", "elsewhere"), moved)
    assert not with_surroundings(means, rows, strangers).any()
