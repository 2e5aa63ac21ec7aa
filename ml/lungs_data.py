"""The lung segmenter's pictures: outlines drawn by hand, their division, and random variants."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ml import data, lungs
from ml.preprocess import FloatArray, normalise

Bytes = npt.NDArray[np.uint8]
MASKS_FILE: Final = "masks.csv"
HOLD_OUT: Final = 0.2
"""Share of the groups with an outline that are kept for measuring."""
CHECK_SIDE: Final = 128
Pair: TypeAlias = tuple[data.Row, Path]
"""A picture and its outline."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """Pictures with lung masks, as squares."""

    names: list[str]
    squares: Bytes
    """(n, s, s) in 256 greys."""
    masks: Bytes
    """(n, s, s), 0 or 255."""


def load_outlined(
    manifest: Path, size: int
) -> tuple[list[Pair], Callable[[Sequence[Pair]], Outlined]]:
    """The pictures that have a lung outline, and a reader of them.

    :raises ManifestError: when the list of masks cannot be used.
    """
    listed = manifest.parent / MASKS_FILE
    by_name = {row.name: row for row in data.read_manifest(manifest)}
    try:
        with listed.open(newline="", encoding="utf-8-sig") as stream:
            pairs = [
                (by_name[record["image"]], listed.parent / record["mask"])
                for record in csv.DictReader(stream)
                if record["kind"] == "lungs"
            ]
    except OSError as error:
        raise data.ManifestError(f"{listed}: cannot be read ({error.strerror}).") from error
    except KeyError as error:
        raise data.ManifestError(f"{listed}: {error} is not in the manifest.") from error

    def read(chosen: Sequence[Pair]) -> Outlined:
        squares = data.load_squares([row for row, _ in chosen], size)
        masks = [read_mask(path, size) for _, path in chosen]
        return Outlined([row.name for row, _ in chosen], squares, np.array(masks, dtype=np.uint8))

    return pairs, read


def read_mask(path: Path, size: int) -> Bytes:
    """A mask file squashed to a square, (size, size), 0 or 255."""
    with Image.open(path) as picture:
        smooth = picture.convert("L").resize((size, size), Image.Resampling.BOX)
    return np.where(np.asarray(smooth) >= 128, 255, 0).astype(np.uint8)


def split_outlined(pairs: Sequence[Pair], seed: int) -> dict[str, list[Pair]]:
    """Divide by group, with a seeded shuffle, so that a run can be repeated.

    :returns: ``train`` and ``held_out`` of the training splits, ``unseen`` of any other, and
        ``one_lung``: outlines of a single lung where there may be two, which teach and measure
        nothing.
    """
    usable = [pair for pair in pairs if pair[0].split in data.TRAINING_SPLITS]
    groups = sorted({row.group or row.name for row, _ in usable})
    np.random.default_rng(seed).shuffle(groups)
    held = set(groups[: round(len(groups) * HOLD_OUT)])
    parts: dict[str, list[Pair]] = {"train": [], "held_out": [], "unseen": [], "one_lung": []}
    for row, path in pairs:
        if min(lungs.split_fields(read_mask(path, CHECK_SIDE) > 0)) < lungs.LEAST_FIELD:
            parts["one_lung"].append((row, path))
        elif row.split not in data.TRAINING_SPLITS:
            parts["unseen"].append((row, path))
        else:
            part = "held_out" if (row.group or row.name) in held else "train"
            parts[part].append((row, path))
    return parts


def vary(square: Bytes, mask: Bytes, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """One random variant of a picture and its mask.

    Wider than the classifier's: lungs are lungs at any scale, exposure and sharpness, turned a
    little, mirrored, framed in black, or with black and white exchanged.

    :returns: (s, s) float32 normalised, and (s, s) float32 of 0 and 1.
    """
    size = square.shape[0]
    picture, outline = Image.fromarray(square), Image.fromarray(mask)
    if rng.random() < 0.4:
        side = int(size * rng.uniform(0.4, 0.9))
        picture = picture.resize((side, side), Image.Resampling.BOX).resize(
            (size, size), Image.Resampling.BILINEAR
        )
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.5))))
    warp = _random_warp(size, rng)
    frame = int(rng.choice([0, 0, int(rng.integers(0, 256)), 255]))
    affine = Image.Transform.AFFINE
    picture = picture.transform(
        (size, size), affine, warp, Image.Resampling.BILINEAR, fillcolor=frame
    )
    outline = outline.transform((size, size), affine, warp, Image.Resampling.BILINEAR)
    values = np.asarray(picture, dtype=np.float32) / np.float32(255.0)
    values = np.power(values, np.float32(math.exp(float(rng.normal(0.0, 0.35)))))
    if rng.random() < 0.3:
        noise = rng.standard_normal(values.shape, dtype=np.float32)
        values = values + noise * np.float32(rng.uniform(0.0, 0.06))
    if rng.random() < 0.3:
        ramp = np.linspace(-1.0, 1.0, size, dtype=np.float32) * np.float32(rng.normal(0.0, 0.12))
        values = values + (ramp if rng.random() < 0.5 else ramp[:, None])
    if rng.random() < 0.12:
        values = 1.0 - values
    if rng.random() < 0.3:
        high, wide = (int(size * v) for v in rng.uniform(0.05, 0.3, 2))
        top, left = (int(v) for v in rng.integers(0, size - 8, 2))
        values = values.copy()
        values[top : top + high, left : left + wide] = rng.random()
    drawn = (np.asarray(outline) >= 128).astype(np.float32)
    return normalise(np.clip(values, 0.0, 1.0).astype(np.float32)), drawn


def _random_warp(size: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Turn, scale, stretch, shift and perhaps mirror about the middle, as PIL wants it."""
    angle = math.radians(float(np.clip(rng.normal(0.0, 8.0), -25.0, 25.0)))
    scale = math.exp(float(rng.uniform(math.log(0.6), math.log(1.3))))
    stretch = math.exp(float(rng.normal(0.0, 0.12)))
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    shift_x, shift_y = (float(v) * size for v in rng.uniform(-0.1, 0.1, 2))
    centre = size / 2.0
    a, b = math.cos(angle) / (scale * stretch) * mirror, math.sin(angle) / scale
    d, e = -math.sin(angle) / (scale * stretch) * mirror, math.cos(angle) * stretch / scale
    c = centre - a * (centre + shift_x) - b * (centre + shift_y)
    f = centre - d * (centre + shift_x) - e * (centre + shift_y)
    return a, b, c, d, e, f


def rows_to_guess(
    rows: Sequence[data.Row], barred: set[str], each: int, seed: int
) -> list[data.Row]:
    """Training rows without an outline, the same number from each source x label.

    :param barred: groups that are measured on.
    """
    rng = np.random.default_rng(seed)
    cells: dict[tuple[str, str], list[data.Row]] = {}
    for row in data.training_rows(rows):
        if (row.group or row.name) not in barred:
            cells.setdefault(row.cell, []).append(row)
    chosen: list[data.Row] = []
    for _, members in sorted(cells.items()):
        order = rng.permutation(len(members))[:each]
        chosen.extend(members[number] for number in order)
    return chosen
