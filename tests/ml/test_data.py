"""Manifests and what is drawn from them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ml import augment, data
from ml.data import ManifestError, Row
from ml.phantom import draw_phantom


def write(folder: Path, text: str) -> Path:
    manifest = folder / "manifest.csv"
    manifest.write_text(text)
    return manifest


def test_paths_are_beside_the_manifest_and_columns_optional(tmp_path: Path) -> None:
    (row,) = data.read_manifest(write(tmp_path, "label,path\nCOVID,sub/a.png\n"))
    assert row.path == tmp_path / "sub" / "a.png"
    assert (row.label, row.source, row.group, row.split) == ("covid", "", "", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,source\na.png,x\n", "lacks the column label"),
        ("", "lacks the column label and path"),
        ("path,label\na.png,\n", "line 2"),
        ("path,label\na.png,covid\n\na.png,covid\n", "listed twice"),
    ],
)
def test_bad_manifests_are_told(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        data.read_manifest(write(tmp_path, text))


def test_missing_or_binary_manifests_are_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        data.read_manifest(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(ManifestError, match="UTF-8"):
        data.read_manifest(tmp_path / "b.csv")


def row(name: str, split: str, **more: object) -> Row:
    return Row(path=Path(name), name=name, label="covid", split=split, **more)  # type: ignore[arg-type]


def test_training_takes_train_and_bench_without_conflicts_flags_and_copies() -> None:
    rows = [
        row("b1", "bench", dup_of="t1"),
        row("t1", "train", dup_of="b1"),
        row("t2", "train", label_conflict=True),
        row("t3", "train", flag="upside_down"),
        row("b2", "bench"),
        row("v", "val"),
        row("x", "test"),
        row("o", "ood"),
    ]
    assert [one.name for one in data.training_rows(rows)] == ["t1", "b2"]
    assert [one.name for one in data.selection_rows(rows)] == ["v"]


def test_no_group_of_training_is_in_selection_or_test(real_manifest: Path) -> None:
    rows = data.read_manifest(real_manifest)
    learned = {one.group for one in data.training_rows(rows)}
    held_out = {one.group for one in rows if one.split in ("val", "test")}
    assert len(learned) > 5000
    assert not learned & held_out


def test_sampling_lifts_small_cells_and_favours_no_row() -> None:
    rows = [
        Row(path=Path(str(i)), name=str(i), label="covid" if i < 10 else "normal")
        for i in range(1000)
    ]
    order = data.balanced_order(rows, 0.5, np.random.default_rng(0))
    drawn = Counter(rows[i].label for i in order)
    assert drawn["covid"] / len(order) == pytest.approx(10**0.5 / (10**0.5 + 990**0.5), abs=0.01)
    times = Counter(int(i) for i in order if i < 10)
    assert max(times.values()) - min(times.values()) <= 1
    again = data.balanced_order(rows, 0.5, np.random.default_rng(0))
    assert np.array_equal(order, again)


def test_variants_are_seeded_and_normalised() -> None:
    square = (draw_phantom(1, "normal", (160, 160)) * 255).astype(np.uint8)
    first = augment.augment(square, 96, np.random.default_rng(3))
    assert first.shape == (96, 96, 1)
    assert first.dtype == np.float32
    assert np.array_equal(first, augment.augment(square, 96, np.random.default_rng(3)))
    assert not np.array_equal(first, augment.augment(square, 96, np.random.default_rng(4)))
    for seed in range(40):
        assert np.isfinite(augment.augment(square, 160, np.random.default_rng(seed))).all()
