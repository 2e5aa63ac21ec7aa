"""Manifests of labelled pictures: reading and checking them, and choosing what a model is trained
on."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml import CLASSES, preprocess
from ml.imaging import Limits, decode

PIXEL_TYPE = np.uint8
TRAINING_SPLITS = ("train", "bench")
SELECTION_SPLIT = "val"
DATA_LIMITS: Final = Limits(max_bytes=256 * 1024 * 1024, max_pixels=256_000_000, min_side=32)
"""Wider than what a portal lets in: data sets hold thumbnails."""


class ManifestError(Exception):
    """A manifest that cannot be used; the message names the file, the line and the remedy."""


@dataclass(frozen=True, slots=True)
class Row:
    """One picture of a manifest. Empty text where the manifest says nothing."""

    path: Path
    label: str
    source: str = ""
    group: str = ""
    split: str = ""
    label_conflict: bool = False
    dup_of: str = ""
    flag: str = ""
    license: str = ""
    sex: str = ""
    age: str = ""
    name: str = ""
    """The path as the manifest wrote it."""

    @property
    def cell(self) -> tuple[str, str]:
        """Source and label, the unit of balanced sampling."""
        return self.source, self.label


def read_manifest(manifest: Path) -> list[Row]:
    """Read every row of a manifest, whatever its label.

    Columns ``path`` and ``label`` are needed; ``source``, ``group``, ``split``, ``label_conflict``,
    ``dup_of``, ``flag``, ``license``, ``sex`` and ``age`` are used when there. Paths are relative
    to the manifest's folder.

    :raises ManifestError: when the file is missing, is not CSV text, lacks a column, holds a row
        without path or label, or names one picture twice.
    """
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = set(reader.fieldnames or ())
            records = list(reader)
    except OSError as error:
        raise ManifestError(f"{manifest}: cannot be read ({error.strerror}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{manifest}: is not a CSV file in UTF-8.") from error
    if missing := {"path", "label"} - columns:
        raise ManifestError(f"{manifest}: lacks the column {' and '.join(sorted(missing))}.")
    rows: list[Row] = []
    seen: set[str] = set()
    for line, record in enumerate(records, start=2):
        values = {
            key: (value or "").strip() for key, value in record.items() if isinstance(key, str)
        }
        name, label = values["path"], values["label"].lower()
        if not name or not label:
            raise ManifestError(f"{manifest}, line {line}: a row needs both a path and a label.")
        if name in seen:
            raise ManifestError(f"{manifest}, line {line}: {name} is listed twice.")
        seen.add(name)
        rows.append(
            Row(
                path=manifest.parent / name,
                label=label,
                source=values.get("source", ""),
                group=values.get("group", ""),
                split=values.get("split", ""),
                label_conflict=values.get("label_conflict", "") == "1",
                dup_of=values.get("dup_of", ""),
                flag=values.get("flag", ""),
                license=values.get("license", ""),
                sex=values.get("sex", ""),
                age=values.get("age", ""),
                name=name,
            )
        )
    return rows


def training_rows(rows: Iterable[Row]) -> list[Row]:
    """The rows a released model learns from: train and bench together, cleaned.

    Bench brings the only adult pneumonias in number. The price is that no bench figure may be
    quoted for such a model. Left out are pictures whose copies disagree about the label, pictures
    flagged by eye as turned, inverted or not frontal, and second copies of a picture that is
    already in.
    """
    chosen = [
        row
        for row in rows
        if row.split in TRAINING_SPLITS
        and row.label in CLASSES
        and not row.label_conflict
        and not row.flag
    ]
    kept: list[Row] = []
    names: set[str] = set()
    for row in sorted(
        chosen, key=lambda row: TRAINING_SPLITS.index(row.split)
    ):  # copies may name each other
        if row.dup_of not in names:
            kept.append(row)
            names.add(row.name)
    return kept


def selection_rows(rows: Iterable[Row]) -> list[Row]:
    """The rows on which epochs, calibration and thresholds are chosen. Never the test split."""
    return [row for row in rows if row.split == SELECTION_SPLIT and row.label in CLASSES]


def labels_of(rows: Sequence[Row], classes: Sequence[str] = CLASSES) -> npt.NDArray[np.int64]:
    """Class numbers, (n,) int64, in the order of ``classes``."""
    return np.array([classes.index(row.label) for row in rows], dtype=np.int64)


def count_cells(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows each source × label holds, as ``{"kermany/normal": 1071, ...}``."""
    counts = Counter(f"{row.source or 'unnamed'}/{row.label}" for row in rows)
    return dict(sorted(counts.items()))


def describe_rows(rows: Sequence[Row]) -> dict[str, Any]:
    """What a manifest holds, for the record.

    :returns: ``counts`` by source/label and split, ``licences`` by source as the manifest words
        them, the most frequent first.
    """
    cells = sorted({(row.source or "unnamed", row.label) for row in rows})
    licences: dict[str, Counter[str]] = {source: Counter() for source, _ in cells}
    counts: dict[str, Counter[str]] = {f"{source}/{label}": Counter() for source, label in cells}
    for row in rows:
        source = row.source or "unnamed"
        counts[f"{source}/{row.label}"][row.split or "no split"] += 1
        licences[source][row.license or "not recorded"] += 1
    return {
        "counts": {cell: dict(sorted(splits.items())) for cell, splits in counts.items()},
        "licences": {
            source: dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))
            for source, found in licences.items()
        },
    }


def load_squares(
    rows: Sequence[Row], size: int, cache: Path | None = None
) -> npt.NDArray[np.uint8]:
    """Decode and squash every picture, (n, size, size) uint8.

    :param cache: a ``.npz`` file that is read when it holds these very pictures and written
        otherwise.
    :raises ManifestError: when a picture is missing; ``ImagingError`` when one cannot be decoded.
    """
    names = np.array([row.name for row in rows])
    version = preprocess.PREPROCESSING_VERSION
    if cache is not None and cache.exists():
        with np.load(cache) as stored:
            if int(stored["version"]) == version and np.array_equal(stored["names"], names):
                squares: npt.NDArray[np.uint8] = stored["squares"]
                if squares.shape[1:] == (size, size):
                    return squares
    squares = np.empty((len(rows), size, size), dtype=PIXEL_TYPE)
    for number, row in enumerate(rows):
        try:
            data = row.path.read_bytes()
        except OSError as error:
            raise ManifestError(f"{row.path}: cannot be read ({error.strerror}).") from error
        square = preprocess.resize_square(decode(data, DATA_LIMITS).pixels, size)
        squares[number] = np.rint(square * 255.0).astype(PIXEL_TYPE)
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, version=version, names=names, squares=squares)
    return squares


def balanced_order(
    rows: Sequence[Row], power: float, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw one epoch of row numbers in which a cell of n rows weighs n ** power.

    Power 1 is the data as it is, power 0 gives every source × label the same share. A cell drawn
    more often than it has rows is gone through in whole, freshly shuffled rounds, so that no row is
    favoured.
    """
    members: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(rows):
        members.setdefault(row.cell, []).append(number)
    weights = {cell: len(numbers) ** power for cell, numbers in members.items()}
    total = sum(weights.values())
    drawn: list[npt.NDArray[np.int64]] = []
    for cell in sorted(members):
        quota = max(1, round(len(rows) * weights[cell] / total))
        numbers = np.array(members[cell], dtype=np.int64)
        rounds = [rng.permutation(numbers) for _ in range(-(-quota // len(numbers)))]
        drawn.append(np.concatenate(rounds)[:quota])
    order: npt.NDArray[np.int64] = rng.permutation(np.concatenate(drawn))
    return order
