"""What each answer carries besides its probabilities, for one released model.

``trust.json`` lies in the model's package and holds what was fitted for that model on the selection
split: conformal thresholds, tables of operating points, limits of the shortcut meter, and how all
of them did there. It names the hashes of the network and of the segmenter it was fitted with and is
refused beside any other: a threshold belongs to one model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from ml import CLASSES, data, swap
from ml.conformal import COVERAGE, Conformal, fit_conformal, measure_conformal
from ml.imaging import DecodedImage, decode
from ml.lungs import LungSegmenter
from ml.operating import SENSITIVITY, OperatingPoint, RocTable, fit_roc
from ml.package import THRESHOLDS_FILE, ModelPackage, PackageError
from ml.predict import Prediction, Predictor
from ml.shortcut import (
    Probe,
    ShortcutLimits,
    ShortcutMeter,
    ShortcutReading,
    fit_limits,
    judge,
    probe,
)

TRUST_FILE: Final = THRESHOLDS_FILE
FORMAT: Final = 1


class Segmenter(Protocol):
    """Which lung segmenter is meant; ``ml.lungs.check_segmenter`` tells without loading it."""

    @property
    def sha256(self) -> str:
        """Of its network."""


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """What one answer carries."""

    prediction_set: tuple[str, ...]
    """Classes that can't be ruled out, likeliest first."""
    uncertain: bool
    coverage: float
    called: bool
    """Whether COVID-19 is called at the operating point."""
    point: OperatingPoint
    shortcut: ShortcutReading

    def to_json(self) -> dict[str, Any]:
        """Plain values, to be stored with a result."""
        return {
            "prediction_set": list(self.prediction_set),
            "uncertain": self.uncertain,
            "coverage": self.coverage,
            "operating_point": {**self.point.to_json(), "called": self.called},
            "shortcut": self.shortcut.to_json(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """What was fitted for one released model."""

    conformal: Conformal
    tables: dict[str, RocTable]
    """By class."""
    limits: ShortcutLimits
    report: dict[str, Any]
    """How it did on the selection split."""
    sha256: str
    """Of ``trust.json``, for receipts: which thresholds an answer was given with."""

    def carry(
        self,
        meter: ShortcutMeter,
        decoded: DecodedImage,
        prediction: Prediction,
        point: OperatingPoint | None = None,
    ) -> Carried:
        """Everything one accepted answer carries.

        :param meter: from ``open_meter``; a process keeps one.
        :param point: a site's operating point for COVID-19; None for sensitivity 0.90.
        """
        chosen = point if point is not None else self.tables["covid"].choose(SENSITIVITY)
        return Carried(
            prediction_set=self.conformal.prediction_set(prediction.probabilities),
            uncertain=self.conformal.uncertain(prediction.probabilities),
            coverage=self.conformal.coverage,
            called=chosen.calls(prediction.probabilities),
            point=chosen,
            shortcut=meter.read(decoded, prediction),
        )

    def open_meter(self, predictor: Predictor, segmenter: LungSegmenter) -> ShortcutMeter:
        """The shortcut meter with this model's limits."""
        return ShortcutMeter(predictor, segmenter, self.limits)


def load_trust(package: ModelPackage, segmenter: Segmenter) -> Trust:
    """Read what was fitted for a package.

    :raises PackageError: ``model_missing`` when nothing was fitted, ``model_hash_mismatch`` when it
        was for another network or segmenter, ``model_invalid`` for any damage.
    """
    try:
        written = (package.path / TRUST_FILE).read_bytes()
        content = json.loads(written)
    except OSError:
        raise PackageError(
            "model_missing", "The model's thresholds are missing; install the model again."
        ) from None
    except ValueError:
        raise PackageError("model_invalid", "The model's thresholds are damaged.") from None
    try:
        if content["format"] != FORMAT:
            raise ValueError("another format")
        belongs = content["fitted_for"] == _fitted_for(package, segmenter)
        trust = Trust(
            conformal=Conformal.from_json(content["conformal"]),
            tables={label: RocTable.from_json(content["tables"][label]) for label in CLASSES},
            limits=ShortcutLimits.from_json(content["shortcut"]),
            report=dict(content["report"]),
            sha256=hashlib.sha256(written).hexdigest(),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PackageError("model_invalid", "The model's thresholds are damaged.") from None
    if not belongs:
        raise PackageError(
            "model_hash_mismatch",
            "The model's thresholds were fitted for another model; install the model again.",
        )
    return trust


def fit_trust(
    manifest: Path,
    predictor: Predictor,
    segmenter: LungSegmenter,
    say: Callable[[str], None] = print,
) -> Path:
    """Fit everything on the selection split and write it into the predictor's package.

    Pictures that the quality gate refuses take no part, as they get no answer.

    :raises ManifestError: when the manifest cannot be used or its selection rows lack a class.
    """
    rows = data.selection_rows(data.read_manifest(manifest))
    looks = look_at(rows, predictor, segmenter, say)
    if not looks.rows:
        raise data.ManifestError(f"{manifest}: no usable row of split {data.SELECTION_SPLIT}.")
    conformal = fit_conformal(looks.chances, looks.labels, COVERAGE)
    try:
        tables = {label: fit_roc(looks.chances, looks.labels, label) for label in CLASSES}
        limits = fit_limits(looks.probes, looks.labels)
    except ValueError as error:
        raise data.ManifestError(f"{manifest}: split {data.SELECTION_SPLIT}: {error}.") from error
    content = {
        "format": FORMAT,
        "fitted_on": data.SELECTION_SPLIT,
        "fitted_for": _fitted_for(predictor.package, segmenter),
        "conformal": conformal.to_json(),
        "tables": {label: table.to_json() for label, table in tables.items()},
        "shortcut": limits.to_json(),
        "report": report(looks, conformal, tables, limits),
    }
    path = predictor.package.path / TRUST_FILE
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def measure_trust(
    manifest: Path,
    split: str | None,
    predictor: Predictor,
    segmenter: LungSegmenter,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """How what was fitted does on other pictures; fits nothing.

    :param split: only rows of this split; None for all.
    :returns: as ``Trust.report``, with ``model`` and ``split``.
    :raises ManifestError: when there is no picture to measure on.
    :raises PackageError: when nothing was fitted for this model.
    """
    trust = load_trust(predictor.package, segmenter)
    rows = [
        row
        for row in data.read_manifest(manifest)
        if row.label in CLASSES and (split is None or row.split == split)
    ]
    looks = look_at(rows, predictor, segmenter, say)
    if not looks.rows:
        raise data.ManifestError(
            f"{manifest}: no usable row{f' of split {split}' if split else ''}."
        )
    return {
        "model": {"name": predictor.package.name, "version": predictor.package.version},
        "split": split,
        **report(looks, trust.conformal, trust.tables, trust.limits),
    }


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Accepted pictures with their answers, and what became of each when its surroundings were
    exchanged."""

    rows: list[data.Row]
    labels: npt.NDArray[np.int64]
    chances: npt.NDArray[np.float64]
    """(n, 3) calibrated."""
    probes: list[Probe]
    swaps: list[swap.Swap | None]
    refused: int


def look_at(
    rows: Sequence[data.Row],
    predictor: Predictor,
    segmenter: LungSegmenter,
    say: Callable[[str], None] = print,
) -> Looks:
    """Answer, probe and swap every picture that the quality gate accepts."""
    kept: list[data.Row] = []
    answers: list[Prediction] = []
    images: list[DecodedImage] = []
    probes: list[Probe] = []
    for number, row in enumerate(rows, start=1):
        decoded = decode(row.path.read_bytes(), data.DATA_LIMITS)
        prediction = predictor.predict(decoded)
        if prediction.quality.accepted:
            kept.append(row)
            answers.append(prediction)
            images.append(decoded)
            probes.append(probe(predictor, segmenter, decoded, prediction))
        if number % 250 == 0:
            say(f"{number} of {len(rows)} pictures")
    labels = data.labels_of(kept)
    return Looks(
        rows=kept,
        labels=labels,
        chances=np.array([[one.probabilities[label] for label in CLASSES] for one in answers]),
        probes=probes,
        swaps=swap.swap_all(predictor, images, answers, probes, labels),
        refused=len(rows) - len(kept),
    )


def report(
    looks: Looks, conformal: Conformal, tables: Mapping[str, RocTable], limits: ShortcutLimits
) -> dict[str, Any]:
    """How thresholds do on looked-at pictures, in all and by source."""
    sources = np.array([row.source for row in looks.rows])
    verdicts = [judge(one, limits) for one in looks.probes]
    threshold = {label: table.choose().threshold for label, table in tables.items()}
    called = {
        label: looks.chances[:, number] >= threshold[label] for number, label in enumerate(CLASSES)
    }

    def part(chosen: npt.NDArray[np.bool_]) -> dict[str, Any]:
        picked = np.flatnonzero(chosen).tolist()
        labels = looks.labels[chosen]
        return {
            "conformal": measure_conformal(conformal, looks.chances[chosen], labels),
            "operating_points": {
                label: _rates(called[label][chosen], labels == number)
                for number, label in enumerate(CLASSES)
            },
            "shortcut": swap.summarise(
                [verdicts[number] for number in picked],
                [looks.swaps[number] for number in picked],
                labels,
            ),
        }

    everything = np.ones(len(looks.rows), dtype=bool)
    return {
        "refused_by_gate": looks.refused,
        **part(everything),
        "per_source": {source: part(sources == source) for source in sorted(set(sources.tolist()))},
    }


def _rates(called: npt.NDArray[np.bool_], own: npt.NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "sensitivity": round(float(called[own].mean()), 4) if own.any() else None,
        "specificity": round(float((~called[~own]).mean()), 4) if (~own).any() else None,
    }


def _fitted_for(package: ModelPackage, segmenter: Segmenter) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "files": dict(package.sha256),
        "calibration": [package.calibration.temperature, *package.calibration.bias],
        "lungs": segmenter.sha256,
    }
