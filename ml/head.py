"""Fitting the linear head of ``ml.lite``: exactly, in minutes, and the same every time.

The means of the backbone's maps are computed once for each look at each picture (``ml.view``); what
is left is a multinomial logistic regression with a ridge, every look a row to learn from. Its loss
is convex, so there is one best head and no seed, no epochs and no luck. It is found with the bound
of Böhning (1992, "Multinomial logistic regression algorithm"): the curvature is never more than
that of a fixed matrix, which is decomposed once.
How strong the ridge is, is chosen on the selection split.

A run lives in one folder: ``config.json`` says what was asked for, ``head.npz`` holds the head and
the backbone it belongs to, and ``means.npz`` the means, in case they are wanted again.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ml import CLASSES, data, lite, preprocess
from ml.calibrate import log_loss
from ml.imaging import decode
from ml.lite import Weights
from ml.lite_weights import LICENSE, PACKAGE, fingerprint, load_weights, save_weights
from ml.lungs import LungSegmenter, check_segmenter
from ml.metrics import Array
from ml.network import write_litert
from ml.package import View
from ml.pool import look_at
from ml.train import TrainingError
from ml.view import LOOKS, looks, show

if TYPE_CHECKING:
    import keras

Report = Callable[[str], None]
KIND: Final = "head"
REPORT_EVERY: Final = 1000
WORTH_A_POOL: Final = 200
"""From so many pictures on, several processes look at them."""
FLAT: Final = 1e-5
"""The best head is found when the loss falls by no more than this a unit, in any direction."""


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """What decides a run, all of it."""

    size: int = 224
    """Side of the pictures; what the backbone was trained on."""
    view: View = "lungs"
    """What of a picture is looked at."""
    ridges: tuple[float, ...] = (0.1, 0.03, 0.01, 0.003, 0.001)
    """Strengths to choose from, by log loss on the selection split; the strongest wins a tie."""
    sampling_power: float = 0.5
    """A source × label of n pictures weighs n to this power, as in ``data.balanced_order``."""
    steps: int = 400


def smoke_config() -> HeadConfig:
    """A fit of seconds that goes through every line; its head knows little."""
    return HeadConfig(size=64, steps=20)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear layer over the means."""

    kernel: Array
    """(FEATURES, classes)"""
    bias: Array
    """(classes,)"""

    def logits(self, means: npt.NDArray[Any]) -> Array:
        """The mean over all looks at a picture.

        :param means: (n, looks, FEATURES). :returns: (n, classes).
        """
        answer: Array = means.astype(np.float64).mean(axis=1) @ self.kernel + self.bias
        return answer

    def probabilities(self, means: npt.NDArray[Any]) -> Array:
        """Uncalibrated, (n, classes)."""
        return _softmax(self.logits(means))


@dataclass(frozen=True, slots=True)
class Choice:
    """A head and how its ridge was chosen."""

    head: Head
    ridge: float
    losses: dict[float, float]
    """Log loss on the selection split for each ridge."""


def run_head(
    manifest: Path,
    backbone: Path,
    out: Path,
    config: HeadConfig,
    *,
    cache: Path | None = None,
    report: Report = print,
) -> None:
    """Fit a head on a manifest's training rows, writing a run into ``out``.

    :param backbone: weights as ``ml.lite_weights.load_weights`` takes them.
    :param cache: of the means, such as a bench's; default: in ``out``.
    :raises TrainingError: when ``out`` holds another run, or the manifest has nothing to learn
        from; ``BackboneError`` when the weights are not to be had.
    """
    rows = data.read_manifest(manifest)
    learning, selection = data.training_rows(rows), data.selection_rows(rows)
    if not learning or not selection:
        raise TrainingError(
            f"{manifest} needs rows of the splits train and {data.SELECTION_SPLIT}."
        )
    if (out / "config.json").exists():
        raise TrainingError(f"{out} already holds a run: choose another folder.")
    weights = load_weights(backbone)
    out.mkdir(parents=True, exist_ok=True)
    save_weights(weights, out / "backbone.npz")
    report(f"{len(learning)} pictures to learn from, {len(selection)} to select on.")
    means = measure_means(
        [*learning, *selection],
        weights,
        config,
        cache or out / "means.npz",
        report,
    )
    first, second = means[: len(learning)], means[len(learning) :]
    chosen = choose_head(first, learning, second, selection, config)
    for ridge, loss in chosen.losses.items():
        report(f"ridge {ridge:g}: log loss {loss:.4f} on {data.SELECTION_SPLIT}")
    with (out / "head.npz").open("wb") as stream:
        np.savez(stream, kernel=chosen.head.kernel, bias=chosen.head.bias)
    description = {
        "kind": KIND,
        "config": asdict(config),
        "training": data.count_cells(learning),
        "selection": data.count_cells(selection),
        "ridge": chosen.ridge,
        "log_loss_by_ridge": {f"{ridge:g}": loss for ridge, loss in chosen.losses.items()},
        "backbone": {"from": PACKAGE, "license": LICENSE, "sha256": fingerprint(weights)},
        "lungs_sha256": check_segmenter().sha256,
    }
    (out / "config.json").write_text(json.dumps(description, indent=2))


def load_run(run: Path, size: int | None = None) -> tuple[keras.Model, dict[str, Any]]:
    """The network of a run, and the run's description.

    :param size: side of its pictures; None for the one it was fitted at.
    :raises TrainingError: when the run was cut off; start it anew.
    """
    description = describe_run(run)
    try:
        with np.load(run / "head.npz", allow_pickle=False) as stored:
            kernel, bias = stored["kernel"], stored["bias"]
    except OSError as error:
        raise TrainingError(f"{run} holds no head.") from error
    network = lite.build_network(size or int(description["config"]["size"]))
    lite.set_backbone(network, load_weights(run / "backbone.npz"))
    lite.set_head(network, kernel, bias)
    return network, description


def describe_run(run: Path) -> dict[str, Any]:
    """What a run was asked for and how its ridge was chosen."""
    description: dict[str, Any] = json.loads((run / "config.json").read_text())
    return description


def is_head(run: Path) -> bool:
    """Whether a run's folder is one of this module."""
    try:
        return bool(describe_run(run).get("kind") == KIND)
    except (OSError, ValueError):
        return False


def measure_means(
    rows: Sequence[data.Row],
    weights: Weights,
    config: HeadConfig,
    cache: Path | None = None,
    report: Report = print,
) -> npt.NDArray[np.float32]:
    """What a head sees of every picture, (n, looks, FEATURES) float32. Where a picture lacks the
    further looks, for its lungs were not found, the first stands in for them.

    :param cache: a ``.npz`` that is read when it holds all these pictures, named as in the
        manifest and seen by this backbone, and written otherwise.
    """
    names = [row.name for row in rows]
    seen_by = f"{fingerprint(weights)} {config.size} {preprocess.PREPROCESSING_VERSION}"
    if config.view == "lungs":
        seen_by += f" {check_segmenter().sha256}"
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as stored:
            places = {str(name): place for place, name in enumerate(stored["names"])}
            if str(stored["seen_by"]) == seen_by and places.keys() >= set(names):
                known: npt.NDArray[np.float32] = stored["means"][[places[name] for name in names]]
                return known
    means = _look_at_all(rows, _features(weights, config.size), config, report)
    if cache is not None:
        with cache.open("wb") as stream:
            np.savez(stream, seen_by=np.array(seen_by), names=np.array(names), means=means)
    return means


def choose_head(
    means: npt.NDArray[Any],
    learning: Sequence[data.Row],
    watched: npt.NDArray[Any],
    selection: Sequence[data.Row],
    config: HeadConfig,
    classes: Sequence[str] = CLASSES,
) -> Choice:
    """Fit a head with each ridge and keep the one that does best on the selection rows.

    :param means: (n, looks, FEATURES) of the learning rows; ``watched`` of the selection rows.
    """
    labels = np.array([classes.index(row.label) for row in learning])
    targets = np.array([classes.index(row.label) for row in selection])
    shares = weigh(learning, config.sampling_power)
    losses: dict[float, float] = {}
    best: tuple[Head, float] | None = None
    for ridge in sorted(config.ridges, reverse=True):
        head = fit_head(means, labels, shares, ridge, config.steps, len(classes), best and best[0])
        losses[ridge] = log_loss(head.probabilities(watched), targets)
        if best is None or losses[ridge] < losses[best[1]]:
            best = head, ridge
    if best is None:
        raise TrainingError("no ridge to choose from")
    return Choice(*best, losses)


def weigh(rows: Sequence[data.Row], power: float) -> Array:
    """The weight of each row, 1 on average: a cell of n rows weighs n ** power."""
    counts = Counter(row.cell for row in rows)
    shares = np.array([float(counts[row.cell]) ** (power - 1.0) for row in rows])
    balanced: Array = shares / shares.mean()
    return balanced


def fit_head(
    means: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    shares: Array,
    ridge: float,
    steps: int = 400,
    classes: int = len(CLASSES),
    start: Head | None = None,
) -> Head:
    """Minimise the weighted log loss plus ``ridge / 2`` times the squared kernel of the
    standardised means, until no slope is steeper than ``FLAT``.

    :param means: (n, looks, FEATURES). :param shares: (n,), 1 on average.
    :param steps: at most so many.
    :param start: where to begin, such as the head of a stronger ridge; it only saves steps.
    """
    count = means.shape[1]
    means, labels = means.reshape(-1, means.shape[2]), labels.repeat(count)
    shares = shares.repeat(count)
    centre = means.mean(axis=0, dtype=np.float64)
    spread = means.std(axis=0, dtype=np.float64) + 1e-6
    # half the memory to go through in every step; sums over thousands of rows keep six digits
    inputs = np.c_[(means - centre) / spread, np.ones(len(means))].astype(np.float32)
    targets = np.eye(classes)[labels]
    penalty = np.full(inputs.shape[1], ridge)
    penalty[-1] = 1e-6  # the bias is free; a little keeps the matrix whole
    bound = 0.5 * (inputs.T * shares.astype(np.float32)) @ inputs / len(inputs)
    inverse = np.linalg.inv(bound.astype(np.float64) + np.diag(penalty))
    kernel = np.zeros((inputs.shape[1], classes))
    if start is not None:
        kernel[:-1] = start.kernel * spread[:, np.newaxis]
        kernel[-1] = start.bias + centre @ start.kernel
    ahead, momentum = kernel, 1.0
    for _ in range(steps):
        chances = _softmax(inputs @ ahead.astype(np.float32))
        wrong = (chances - targets) * shares[:, np.newaxis] / len(inputs)
        slope = inputs.T @ wrong.astype(np.float32) + penalty[:, np.newaxis] * ahead
        moved = ahead - inverse @ slope
        # Nesterov 1983, begun anew whenever it would lead uphill (O'Donoghue & Candès 2015)
        if np.sum(slope * (moved - kernel)) > 0:
            momentum = 1.0
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = moved + (momentum - 1.0) / following * (moved - kernel)
        kernel, momentum = moved, following
        if np.abs(slope).max() < FLAT:
            break
    weights = kernel[:-1] / spread[:, np.newaxis]
    return Head(weights, kernel[-1] - centre @ weights)


def _softmax(logits: Array) -> Array:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances: Array = raised / raised.sum(axis=1, keepdims=True)
    return chances


def _features(weights: Weights, size: int) -> bytes:
    """The backbone's means for the serving runtime: on ordinary processors a third of the training
    library's time."""
    model = lite.build_features(size)
    lite.set_backbone(model, weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.tflite"
        write_litert(model, path)
        return path.read_bytes()


def _look_at_all(
    rows: Sequence[data.Row], network: bytes, config: HeadConfig, report: Report
) -> npt.NDArray[np.float32]:
    paths, asked = [str(row.path) for row in rows], (network, config.size, config.view)
    found: list[npt.NDArray[np.float32]] = []
    for one in look_at(paths, _look, _start, asked, worth=WORTH_A_POOL):
        if len(found) % REPORT_EVERY == 0:
            report(f"{len(found)} of {len(rows)} pictures seen")
        found.append(one)
    return np.stack(found)


class _Watcher:
    """Looks at pictures with the backbone, in one process."""

    def __init__(self, network: bytes, size: int, view: View) -> None:
        from ai_edge_litert.interpreter import Interpreter

        # kept: the interpreter reads its weights from here as long as it lives
        self._network, self._size = network, size
        self._segmenter = LungSegmenter.load() if view == "lungs" else None
        self._interpreter = Interpreter(model_content=network, num_threads=1)
        self._runner = self._interpreter.get_signature_runner()
        (self._taken,) = self._runner.get_input_details()
        (self._given,) = self._runner.get_output_details()

    def look(self, path: str) -> npt.NDArray[np.float32]:
        """(looks, FEATURES) of a file."""
        pixels = decode(Path(path).read_bytes(), data.DATA_LIMITS).pixels
        square = preprocess.resize_square(pixels, self._size)
        lungs = self._segmenter.find(pixels) if self._segmenter else None
        seen = [
            np.array(self._runner(**{self._taken: look.prepared[np.newaxis]})[self._given][0])
            for look in looks(show(pixels, square, lungs))
        ]
        wanted = 1 if self._segmenter is None else LOOKS
        return np.stack([*seen, *seen[:1] * (wanted - len(seen))])


_watcher: _Watcher | None = None


def _start(network: bytes, size: int, view: View) -> None:
    global _watcher
    _watcher = _Watcher(network, size, view)


def _look(path: str) -> npt.NDArray[np.float32]:
    if _watcher is None:
        raise RuntimeError("the backbone has not been loaded in this process")
    return _watcher.look(path)
