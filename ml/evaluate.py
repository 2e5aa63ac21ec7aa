"""Measuring a released model on any manifest of labelled pictures.

Works from the package alone: no training data, no TensorFlow unless the reference runtime is asked
for. Pictures that the quality gate would refuse are still scored, with the refusals counted beside
the figures; pictures that cannot be read are counted as errors and named.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ml import CLASSES
from ml.data import (
    DATA_LIMITS,
    ManifestError,
    Row,
    describe_rows,
    labels_of,
    read_manifest,
)
from ml.imaging import ImagingError, decode
from ml.lungs import LungSegmenter
from ml.metrics import reliability_bins, roc_points, score_all
from ml.package import load_package
from ml.pool import look_at
from ml.posture import judge_posture, refusal
from ml.predict import Predictor
from ml.runtime import RuntimeName

RESAMPLES: Final = 1000
SEED: Final = 20200211
WORTH_A_POOL: Final = 64
AGES: Final = (
    (18.0, "0 to 17"),
    (40.0, "18 to 39"),
    (60.0, "40 to 59"),
    (math.inf, "60 and over"),
)
"""First age that is too high, and what the group is called."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one row: either probabilities or an error code."""

    probabilities: tuple[float, ...] | None
    refusal: str | None
    error: str | None
    unfamiliar: bool = False


def evaluate_manifest(
    manifest: Path,
    split: str | None = None,
    package_path: Path | str | None = None,
    runtime: RuntimeName = "litert",
    workers: int | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Score a model.

    :param split: only rows of this split; None for all.
    :param workers: processes; None for one a processor core.
    :returns: ``n``, ``accuracy``, ``macro_f1``, ``ece``, ``confusion`` (truth by row) with
        ``classes``, ``per_class``, ``pairs``, each figure with a sibling ``…_ci``, ``roc`` and
        ``reliability`` for drawing, the same under ``per_source``, ``per_sex`` and ``per_age``
        (where known), ``data`` (what the whole manifest holds), and ``skipped``, ``errors``,
        ``quality_refused``, ``unfamiliar``, ``model``, ``seconds``, ``images_per_minute``. Figures
        are None where undefined.
    :raises ManifestError: when the manifest is unfit or has no row to score.
    :raises PackageError: when the model is.
    """
    started = time.perf_counter()
    package = load_package(package_path)
    everything = read_manifest(manifest)
    wanted = [row for row in everything if split is None or row.split == split]
    rows = [row for row in wanted if row.label in CLASSES]
    if not rows:
        raise ManifestError(f"{manifest}: no row to score{f' in split {split}' if split else ''}.")
    answers = _answer_all(rows, package.path, runtime, workers)
    seconds = time.perf_counter() - started
    result = _summarise(rows, answers, resamples)
    for name, part_of in (("source", lambda row: row.source), ("sex", _sex), ("age", _age)):
        result[f"per_{name}"] = _summarise_parts(rows, answers, part_of, resamples)
    result["skipped"] = {
        "n": len(wanted) - len(rows),
        "labels": dict(Counter(row.label for row in wanted if row.label not in CLASSES)),
    }
    result |= {
        "manifest": manifest.name,
        "split": split,
        "data": describe_rows(everything),
        "bootstrap": {"resamples": resamples, "seed": SEED, "unit": "group"},
        "model": {
            "name": package.name,
            "version": package.version,
            "runtime": runtime,
            "sha256": dict(package.sha256),
        },
        "seconds": round(seconds, 2),
        "images_per_minute": round(len(rows) / seconds * 60.0, 1),
    }
    return result


def _sex(row: Row) -> str:
    return {"F": "female", "M": "male"}.get(row.sex.upper()[:1], "")


def _age(row: Row) -> str:
    """The part of life; empty where the manifest names no number of years."""
    try:
        years = float(row.age)
    except ValueError:
        return ""
    if not math.isfinite(years):
        return ""
    return next((name for limit, name in AGES if years < limit), "")


def _summarise_parts(
    rows: Sequence[Row],
    answers: Sequence[Answer],
    part_of: Callable[[Row], str],
    resamples: int,
) -> dict[str, Any]:
    """The figures of each named part; rows of which nothing is known belong to none."""
    parts = [part_of(row) for row in rows]
    return {
        name: _summarise(
            [row for row, part in zip(rows, parts, strict=True) if part == name],
            [answer for answer, part in zip(answers, parts, strict=True) if part == name],
            resamples,
        )
        for name in sorted(set(parts) - {""})
    }


def _summarise(rows: Sequence[Row], answers: Sequence[Answer], resamples: int) -> dict[str, Any]:
    read = [
        (row, answer, answer.probabilities)
        for row, answer in zip(rows, answers, strict=True)
        if answer.probabilities is not None
    ]
    result: dict[str, Any] = {"n": len(read)}
    if read:
        chances = np.array([probabilities for _, _, probabilities in read])
        labels = labels_of([row for row, _, _ in read])
        groups = [row.group or f"row {row.name}" for row, _, _ in read]
        result = score_all(chances, labels, groups, resamples, SEED)
        result["roc"] = roc_points(chances, labels)
        result["reliability"] = reliability_bins(chances, labels)
    failed = [(row, answer) for row, answer in zip(rows, answers, strict=True) if answer.error]
    result["errors"] = {
        "n": len(failed),
        "codes": dict(Counter(answer.error for _, answer in failed)),
        "paths": [row.name for row, _ in failed][:20],
    }
    refused = [(row, answer) for row, answer, _ in read if answer.refusal]
    result["quality_refused"] = {
        "n": len(refused),
        "rate": round(len(refused) / len(read), 4) if read else None,
        "codes": dict(Counter(answer.refusal for _, answer in refused)),
        "paths": [row.name for row, _ in refused][:20],
    }
    strange = sum(1 for _, answer, _ in read if answer.unfamiliar)
    result["unfamiliar"] = {
        "n": strange,
        "rate": round(strange / len(read), 4) if read else None,
    }
    return result


def _answer_all(
    rows: Sequence[Row], package: Path, runtime: RuntimeName, workers: int | None
) -> list[Answer]:
    paths = [str(row.path) for row in rows]
    asked, processes = (str(package), runtime), 1 if runtime == "keras" else workers
    return list(look_at(paths, _answer, _open, asked, processes=processes, worth=WORTH_A_POOL))


_served: tuple[Predictor, LungSegmenter] | None = None


def _open(package: str, runtime: RuntimeName) -> None:
    global _served
    segmenter = LungSegmenter.load()
    _served = Predictor.load(package, runtime, segmenter=segmenter), segmenter


def _answer(path: str) -> Answer:
    if _served is None:
        raise RuntimeError("the model has not been loaded in this process")
    predictor, segmenter = _served
    try:
        data = Path(path).read_bytes()
    except OSError:
        return Answer(None, None, "unreadable_file")
    try:
        decoded = decode(data, DATA_LIMITS)
        prediction = predictor.predict(decoded)
        posture = judge_posture(segmenter, decoded.pixels, prediction.lungs)
    except ImagingError as error:
        return Answer(None, None, error.code)
    chances = tuple(prediction.probabilities[label] for label in CLASSES)
    if not all(math.isfinite(value) for value in chances):
        return Answer(None, None, "not_a_number")
    refused = refusal(prediction.quality, posture)
    code = refused[0] if refused else None
    return Answer(chances, code, None, prediction.quality.unfamiliar)


def format_report(result: dict[str, Any]) -> str:
    """The result as a page of plain text."""
    model = result["model"]
    split = f", split {result['split']}" if result["split"] else ""
    lines = [
        f"{model['name']} {model['version']} ({model['runtime']}) on {result['manifest']}{split}",
        *_section("All sources", result),
    ]
    for source, part in result["per_source"].items():
        lines += ["", *_section(f"Source {source}", part)]
    skipped = result["skipped"]
    if skipped["n"]:
        lines += ["", f"Skipped, other labels: {skipped['n']} {skipped['labels']}"]
    lines += ["", f"{result['seconds']} s, {result['images_per_minute']:.0f} images a minute"]
    return "\n".join(lines)


def _section(title: str, part: dict[str, Any]) -> list[str]:
    lines = [f"{title}: {part['n']} pictures"]
    if part["n"]:
        lines += [
            f"  {name:<9} {_figure(part, key)}"
            for name, key in (("accuracy", "accuracy"), ("macro F1", "macro_f1"), ("ECE", "ece"))
        ]
        lines.append(
            f"  {'':<10}{'n':>5}"
            + "".join(f"  {name:<22}" for name in ("sensitivity", "specificity", "F1", "AUC"))
        )
        for label, figures in part["per_class"].items():
            cells = "".join(
                f"  {_figure(figures, key):<22}"
                for key in ("sensitivity", "specificity", "f1", "auc")
            )
            lines.append(f"  {label:<10}{figures['n']:>5}{cells}")
        for pair, figures in part["pairs"].items():
            lines.append(f"  AUC {pair.replace('_', ' against '):<28} {_figure(figures, 'auc')}")
        lines.append("  truth by row, answer by column: " + ", ".join(part["classes"]))
        lines += [
            f"  {label:<10}" + "".join(f"{count:>7}" for count in row)
            for label, row in zip(part["classes"], part["confusion"], strict=True)
        ]
    refused, errors = part["quality_refused"], part["errors"]
    lines.append(f"  quality gate would refuse {refused['n']} {refused['codes'] or ''}".rstrip())
    lines.append(f"  unlike the films learnt from: {part['unfamiliar']['n']}")
    if errors["n"]:
        lines.append(f"  could not be read: {errors['n']} {errors['codes']} {errors['paths']}")
    return lines


def _figure(part: dict[str, Any], key: str) -> str:
    value, interval = part[key], part[f"{key}_ci"]
    if value is None:
        return "–"
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else f"{value:.3f}"
