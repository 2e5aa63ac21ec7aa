"""From a finished training run to a released package.

The averaged network is folded and written twice (Keras and LiteRT), calibrated on the selection
split, given its quality gate, measured, and given what its answers carry. Nothing here looks at the
test split before every choice about the network has been made; it is then evaluated once, for the
record. What answers carry is fitted on the selection split alone.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml import CLASSES, data, package, phantom, trust
from ml.calibrate import Calibration, calibration_error, fit_calibration, log_loss
from ml.evaluate import evaluate_manifest
from ml.head import describe_run, is_head, load_run
from ml.imaging import DecodedImage, decode
from ml.lungs import LungSegmenter, check_segmenter
from ml.network import fold_norms, write_litert
from ml.package import View
from ml.predict import Predictor
from ml.preprocess import PREPROCESSING_VERSION, FloatArray, resize_square
from ml.quality import STRANGERS, Bounds, Gate, fit_cloud, fit_films, measure, save_gate
from ml.train import load_averaged
from ml.view import looks, show

if TYPE_CHECKING:
    import keras

REFUSAL_SHARE: Final = 0.004
"""Share of selection pictures that the distance threshold alone may refuse."""
GATE_ROWS: Final = 3000
"""So many training pictures are enough to know where X-rays lie among a few hundred features."""
GATE_PHANTOMS: Final = 60
GATE_PHANTOM_SIZES: Final = ((512, 512), (400, 400), (688, 860), (1024, 1024))
BATCH: Final = 32
GATE_SEED: Final = 90_000
"""Phantoms that nobody else draws."""
LIMITS_TEXT: Final = (
    "Decision support for frontal chest X-rays, not a diagnosis. Label and source of the training "
    "pictures are strongly tied: nearly all pneumonias are children's, nearly all COVID-19 films "
    "adults'. Figures on these sources say little about another hospital. The training pictures' "
    "licences differ by source, and several allow no commercial use or are not stated."
)
BENCH_TEXT: Final = (
    "The bench pictures are part of the training data: no bench figure may be quoted for this "
    "model."
)


def release(
    run: Path,
    manifest: Path,
    out: Path,
    name: str,
    version: str,
    *,
    size: int | None = None,
    note: str = "",
    splits: Sequence[str] = ("val", "test"),
    report: Callable[[str], None] = print,
) -> None:
    """Write a package of a run into ``out``, which must not exist yet.

    :param manifest: the manifest that the run was trained on.
    :param size: side of the served pictures; None chooses on the selection split, where the run
        leaves a choice. A network of our own often does best on pictures a little larger than those
        it was trained on, for variants are drawn enlarged as often as not (Touvron et al. 2019,
        "Fixing the train-test resolution discrepancy").
    :param note: what the run's own description does not tell, for the manifest.
    :param splits: what to measure for the record, once everything is fixed.
    :raises TrainingError: when the run is not far enough; ``FileExistsError`` for ``out``.
    """
    trained = _open(run)
    rows = data.read_manifest(manifest)
    selection = data.selection_rows(rows)
    labels = data.labels_of(selection)
    out.mkdir(parents=True)
    tried: dict[int, float] = {}
    if size is None and len(trained.sizes) > 1:
        for candidate in trained.sizes:
            answers, _ = _look(trained.network_at(candidate), selection, candidate, trained.view)
            tried[candidate] = _calibrated_loss(answers["logits"], labels)
            report(f"size {candidate}: log loss {tried[candidate]:.4f} on val")
        size = min(tried, key=lambda candidate: tried[candidate])
    size = size or trained.sizes[0]
    network = trained.network_at(size)
    _write_keras(network, out / package.KERAS_FILE)
    write_litert(network, out / package.LITERT_FILE)
    report("Network written; calibrating.")

    answers, measures = _look(network, selection, size, trained.view)
    calibration = fit_calibration(answers["logits"], labels)
    known = data.training_rows(rows)
    learned, _ = _look(network, known[:: max(1, len(known) // GATE_ROWS)], size, trained.view)
    drawn = _answer(network, _draw_phantoms(), size, trained.view)["features"]
    gate = Gate(
        fit_cloud(np.concatenate([learned["features"], drawn])),
        Bounds(),
        fit_films(learned["features"], answers["features"]),
    )
    distances = np.array([gate.distance(features) for features in answers["features"]])
    bounds = Bounds(distance=float(np.quantile(distances, 1.0 - REFUSAL_SHARE)) * 1.05)
    save_gate(replace(gate, bounds=bounds), out / package.GATE_FILE)

    metrics: dict[str, Any] = {}
    content = {
        "name": name,
        "version": version,
        "created": dt.datetime.now(dt.UTC).date().isoformat(),
        "classes": list(CLASSES),
        "input": {
            "size": size,
            "channels": int(network.input_shape[-1]),
            "type": "float32",
            "view": trained.view,
            "lungs_sha256": trained.lungs_sha256,
        },
        "preprocessing_version": PREPROCESSING_VERSION,
        "calibration": _calibration_entry(calibration, answers["logits"], labels),
        "quality": {
            "bounds": {field: getattr(bounds, field) for field in Bounds.__dataclass_fields__},
            "fitted_on": "features of the training rows and of some drawn chests, distance "
            "threshold of the val rows",
            "unfamiliar": f"further from the training rows' features than all but {STRANGERS:.0%} "
            "of the val rows",
            "val_ranges": _ranges(measures),
        },
        "sha256": {file: package.hash_file(out / file) for file in package.FILES},
        "training": {
            "note": note,
            "log_loss_by_served_size": tried,
            **trained.told,
            "bench": BENCH_TEXT,
        },
        "limits": LIMITS_TEXT,
        "metrics": metrics,
    }
    _write_manifest(out, content)
    for split in splits:
        result = evaluate_manifest(manifest, split=split, package_path=out)
        metrics[split] = _brief(result)
        report(f"{split}: accuracy {result['accuracy']:.4f}, ece {result['ece']:.4f}")
    _write_manifest(out, content)
    trust.fit_trust(manifest, Predictor.load(out), LungSegmenter.load(), report)


@dataclass(frozen=True, slots=True)
class _Trained:
    """What a release needs of a run."""

    network_at: Callable[[int], keras.Model]
    """The network for squares of this side, its weights rounded to half precision."""
    sizes: tuple[int, ...]
    """The sides to choose from."""
    told: dict[str, Any]
    """How it was trained, for the manifest."""
    view: View = "whole"
    """What of a picture it was shown."""
    lungs_sha256: str | None = None
    """Of the segmenter that found the lungs."""


def _open(run: Path) -> _Trained:
    if is_head(run):
        description = describe_run(run)
        view: View = description["config"]["view"]
        if view == "lungs" and description["lungs_sha256"] != check_segmenter().sha256:
            raise package.PackageError(
                "model_hash_mismatch", "The head was fitted with another lung segmenter."
            )
        return _Trained(
            lambda size: load_run(run, size)[0],
            (int(description["config"]["size"]),),
            {
                "config": description["config"],
                "ridge": description["ridge"],
                "log_loss_by_ridge": description["log_loss_by_ridge"],
                "backbone": description["backbone"],
                "counts": description["training"],
                "selection_counts": description["selection"],
                "selected_by": "log loss on val",
            },
            view,
            description["lungs_sha256"] if view == "lungs" else None,
        )
    averaged, description = load_averaged(run)
    config = description["config"]
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    stages = tuple((int(channels), int(stride)) for channels, stride in config["stages"])
    full = [line for line in history if line["size"] == config["size"]]
    side = int(config["size"])
    return _Trained(
        lambda size: fold_norms(averaged, size, stages),
        tuple(range(side, side + 33, 16)),
        {
            "config": config,
            "epochs_run": len(history),
            "best_epoch": min(full, key=lambda line: float(line["nll"]))["epoch"],
            "started_from": description.get("started_from"),
            "counts": description["training"],
            "selection_counts": description["selection"],
            "selected_by": "log loss of the averaged weights on val, full-size epochs",
        },
    )


def activate(folder: Path) -> None:
    """Make a package in ``ml/models`` the one in use, after checking it."""
    released = package.load_package(folder)
    text = json.dumps({"package": released.path.name}, indent=2)
    package.ACTIVE.write_text(text + "\n", encoding="utf-8")


def _look(
    network: keras.Model, rows: Sequence[data.Row], size: int, view: View
) -> tuple[dict[str, FloatArray], list[dict[str, float]]]:
    """Answers of the network for every row, and the measures of every picture."""
    measures: list[dict[str, float]] = []

    def open_rows() -> Iterator[DecodedImage]:
        for row in rows:
            image = decode(row.path.read_bytes(), data.DATA_LIMITS)
            measures.append(measure(resize_square(image.pixels, size), image.colourfulness))
            yield image

    return _answer(network, open_rows(), size, view), measures


def _answer(
    network: keras.Model, images: Iterable[DecodedImage], size: int, view: View
) -> dict[str, FloatArray]:
    """``logits``, the means over all looks at each picture, and ``features`` of the first, as the
    predictor makes them."""
    segmenter = LungSegmenter.load() if view == "lungs" else None
    channels = int(network.input_shape[-1])
    logits: list[FloatArray] = []
    features: list[FloatArray] = []
    coming = iter(images)
    while batch := list(itertools.islice(coming, BATCH)):
        prepared: list[FloatArray] = []
        owners: list[int] = []
        for number, image in enumerate(batch):
            lungs = segmenter.find(image.pixels) if segmenter else None
            asked = looks(show(image.pixels, resize_square(image.pixels, size), lungs))
            prepared += [look.prepared[..., :channels] for look in asked]
            owners += [number] * len(asked)
        answers = network.predict_on_batch(np.stack(prepared))
        for number in range(len(batch)):
            own = np.flatnonzero(np.array(owners) == number)
            logits.append(np.asarray(answers["logits"])[own].mean(axis=0))
            features.append(np.asarray(answers["features"])[own[0]])
    return {"logits": np.stack(logits), "features": np.stack(features)}


def _draw_phantoms() -> Iterator[DecodedImage]:
    """Drawn chests. The gate has to let them in, for they are what a portal is tried with, and what
    its tests and its self-test upload; a good backbone tells them from films."""
    for number in range(GATE_PHANTOMS):
        finding = phantom.FINDINGS[number % len(phantom.FINDINGS)]
        sides = GATE_PHANTOM_SIZES[number % len(GATE_PHANTOM_SIZES)]
        yield decode(phantom.phantom_png(GATE_SEED + number, finding, sides))


def _write_keras(network: keras.Model, path: Path) -> None:
    """Save, then pack again: half-precision values leave half of each number nought."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.name
        network.save(plain)
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
            for entry in source.infolist():
                # a fixed date, so that the same weights give the same file
                packed = zipfile.ZipInfo(entry.filename, (1980, 1, 1, 0, 0, 0))
                target.writestr(packed, source.read(entry), zipfile.ZIP_DEFLATED, 9)


def _calibrated_loss(logits: FloatArray, labels: Any) -> float:
    return log_loss(fit_calibration(logits, labels).probabilities(logits), labels)


def _calibration_entry(calibration: Calibration, logits: FloatArray, labels: Any) -> dict[str, Any]:
    before = Calibration().probabilities(logits)
    after = calibration.probabilities(logits)
    return {
        "temperature": calibration.temperature,
        "bias": list(calibration.bias),
        "fitted_on": "val",
        "log_loss_before": log_loss(before, labels),
        "log_loss_after": log_loss(after, labels),
        "ece_before": calibration_error(before, labels),
        "ece_after": calibration_error(after, labels),
    }


def _ranges(measures: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    return {
        name: [float(np.quantile([one[name] for one in measures], q)) for q in (0.0, 0.5, 1.0)]
        for name in measures[0]
    }


def _brief(result: dict[str, Any]) -> dict[str, Any]:
    """The figures of an evaluation that belong into the manifest."""
    dropped = ("seconds", "images_per_minute", "model", "manifest", "paths")
    return {
        key: _brief(value) if isinstance(value, dict) else value
        for key, value in result.items()
        if key not in dropped
    }


def _write_manifest(folder: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (folder / package.MANIFEST).write_text(text + "\n", encoding="utf-8")
