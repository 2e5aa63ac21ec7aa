"""Does the heatmap point at disease? Scored against opacities outlined by hand.

Two questions, each beside baselines that look at no disease at all. The pointing game (Zhang et al.
2018): does the strongest place lie in an opacity? And overlap: intersection over union at the best
threshold, which is chosen on one half of the patients and reported on the other, both ways round.

Nearly all outlined pictures are in the training split. The network never saw an outline, but it
saw those pictures with their classes: figures on them say how it explains what it knows. Each split
is therefore scored apart.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml import CLASSES, data
from ml.explain import evidence
from ml.imaging import decode
from ml.lungs import BoolArray, LungSegmenter, dilate, resize_mask
from ml.lungs_data import MASKS_FILE, read_mask
from ml.predict import Predictor
from ml.preprocess import FloatArray

Array = npt.NDArray[np.float64]

SIDE: Final = 160
"""Side of the square in which everything is compared."""
NEAR: Final = round(SIDE * 15 / 224)
"""The pointing game's usual tolerance: 15 pixels of 224."""
SPREAD: Final = 0.25
"""Standard deviation of the centred Gaussian, as a share of the side."""
THRESHOLDS: Final = tuple(round(0.05 * step, 2) for step in range(1, 20))
RESAMPLES: Final = 1000
SEED: Final = 20200211
MAPS: Final = ("heatmap", "heatmap_of_truth", "lungs", "centre")


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One outlined picture and the maps to be scored, each (SIDE, SIDE)."""

    group: str
    split: str
    opacity: BoolArray
    maps: dict[str, FloatArray]
    """By name of ``MAPS``, in [0, 1], the highest value 1 unless nothing is there."""


@dataclass(frozen=True, slots=True)
class Marks:
    """How one map did on one picture."""

    hit: float
    """1 or 0; for a map that is flat at its top, the share of its top that lies in an opacity."""
    near: float
    inside: float
    """Share of the map's sum that lies in an opacity."""
    overlaps: tuple[float, ...]
    """Intersection over union at each of ``THRESHOLDS``."""


def score_pointing(
    manifest: Path, predictor: Predictor, segmenter: LungSegmenter, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Score a model's heatmaps.

    :param manifest: with a ``masks.csv`` beside it (columns mask, image, kind).
    :returns: for all pictures and for each split: ``n``, and for each of ``MAPS`` the shares
        ``hit``, ``near`` and ``inside`` and the cross-fitted ``iou``, each with a 95 % interval
        resampled by group (``…_ci``), and the ``thresholds`` of the two halves.
    :raises ManifestError: when manifest or masks cannot be used.
    """
    cases = load_cases(manifest, predictor, segmenter)
    if not cases:
        raise data.ManifestError(f"{manifest}: none of its pictures has an opacity outline.")
    splits = sorted({case.split for case in cases})
    return {
        "model": {"name": predictor.package.name, "version": predictor.package.version},
        "opacity_area": round(float(np.mean([case.opacity.mean() for case in cases])), 4),
        "all": summarise(cases, resamples),
        "per_split": {
            split: summarise([case for case in cases if case.split == split], resamples)
            for split in splits
        },
    }


def load_cases(manifest: Path, predictor: Predictor, segmenter: LungSegmenter) -> list[Case]:
    """Answer every picture with an opacity outline.

    ``heatmap`` is what a clinician is shown, the evidence for the answer; ``heatmap_of_truth`` is
    that for the recorded class (where it is none of the three, for the answer). Pictures whose
    lungs are not found have the whole square for lungs.
    """
    rows = {row.name: row for row in data.read_manifest(manifest)}
    listed = manifest.parent / MASKS_FILE
    try:
        with listed.open(newline="", encoding="utf-8-sig") as stream:
            pairs = [
                (rows[record["image"]], listed.parent / record["mask"])
                for record in csv.DictReader(stream)
                if record["kind"] == "opacity"
            ]
    except OSError as error:
        raise data.ManifestError(f"{listed}: cannot be read ({error.strerror}).") from error
    except KeyError as error:
        raise data.ManifestError(f"{listed}: {error} is not in the manifest.") from error
    cases = []
    for row, path in pairs:
        decoded = decode(row.path.read_bytes(), data.DATA_LIMITS)
        prediction = predictor.predict(decoded)
        truth = row.label if row.label in CLASSES else prediction.label
        lungs = segmenter.find(decoded.pixels)
        field = resize_mask(lungs.mask, (SIDE, SIDE)) if lungs.found else np.ones((SIDE, SIDE))
        maps = {
            "heatmap": draw(evidence(prediction)),
            "heatmap_of_truth": draw(evidence(prediction, truth)),
            "lungs": field.astype(np.float32),
            "centre": centre_map(),
        }
        opacity = read_mask(path, SIDE) > 0
        cases.append(Case(row.group or row.name, row.split, opacity, maps))
    return cases


def draw(found: FloatArray) -> FloatArray:
    """Positive evidence as the heatmap draws it, the highest place 1; all zeros without any."""
    smooth = Image.fromarray(found).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    positive = np.clip(np.asarray(smooth, dtype=np.float32), 0.0, None)
    top = float(positive.max())
    return positive / np.float32(top) if top > 0.0 else positive


def centre_map() -> FloatArray:
    """A Gaussian about the middle of the picture."""
    axis = (np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) / np.float32(SIDE) - 0.5
    bell = np.exp(-0.5 * np.square(axis / SPREAD))
    drawn: FloatArray = (bell[:, None] * bell[None, :] / bell.max() ** 2).astype(np.float32)
    return drawn


def mark(drawn: FloatArray, opacity: BoolArray) -> Marks:
    """How one map does on one picture.

    :param drawn: (s, s) in [0, 1].
    :param opacity: (s, s), not empty.
    """
    total = float(drawn.sum())
    if total <= 0.0:
        return Marks(0.0, 0.0, 0.0, (0.0,) * len(THRESHOLDS))
    top = drawn >= drawn.max()
    overlaps = []
    for threshold in THRESHOLDS:
        chosen = drawn >= threshold
        overlaps.append(float((chosen & opacity).sum() / (chosen | opacity).sum()))
    return Marks(
        hit=float(opacity[top].mean()),
        near=float(dilate(opacity, NEAR)[top].mean()),
        inside=float(drawn[opacity].sum()) / total,
        overlaps=tuple(overlaps),
    )


def summarise(cases: Sequence[Case], resamples: int) -> dict[str, Any]:
    """The figures of some cases, for each map."""
    groups = [case.group for case in cases]
    half = halves(groups)
    result: dict[str, Any] = {"n": len(cases), "groups": len(set(groups))}
    for name in MAPS:
        marks = [mark(case.maps[name], case.opacity) for case in cases]
        overlaps, thresholds = cross_fit(np.array([one.overlaps for one in marks]), half)
        values = {
            "hit": np.array([one.hit for one in marks]),
            "near": np.array([one.near for one in marks]),
            "inside": np.array([one.inside for one in marks]),
            "iou": overlaps,
        }
        result[name] = _with_intervals(values, groups, resamples) | {"thresholds": thresholds}
    return result


def halves(groups: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which pictures are in the first half; no group is in both."""
    names = sorted(set(groups))
    np.random.default_rng(SEED).shuffle(names)
    first = set(names[: len(names) // 2])
    return np.array([group in first for group in groups])


def cross_fit(overlaps: Array, half: npt.NDArray[np.bool_]) -> tuple[Array, list[float | None]]:
    """Each picture's overlap at the threshold that is best for the *other* half.

    :param overlaps: (n, thresholds).
    :returns: (n,), and the thresholds that the first and the second half got; nan and None where
        the other half is empty.
    """
    reported = np.full(len(overlaps), np.nan)
    thresholds: list[float | None] = []
    for told in (half, ~half):
        if not (~told).any():
            thresholds.append(None)
            continue
        best = int(np.argmax(overlaps[~told].mean(axis=0)))
        reported[told] = overlaps[told, best]
        thresholds.append(THRESHOLDS[best])
    return reported, thresholds


def _with_intervals(
    values: Mapping[str, Array], groups: Sequence[str], resamples: int
) -> dict[str, Any]:
    _, member = np.unique(np.array(groups), return_inverse=True)
    count = int(member.max()) + 1
    rng = np.random.default_rng(SEED)
    times = np.stack(
        [np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(resamples)]
    )[:, member]
    result: dict[str, Any] = {}
    for name, all_values in values.items():
        known = np.isfinite(all_values)
        if not known.any():
            result |= {name: None, f"{name}_ci": None}
            continue
        weights = times[:, known]
        weights = weights[weights.sum(axis=1) > 0]
        means = weights @ all_values[known] / weights.sum(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        result[name] = round(float(all_values[known].mean()), 4)
        result[f"{name}_ci"] = [round(float(low), 4), round(float(high), 4)]
    return result
