"""Fitting the linear head of ``ml.lite``: exactly, in minutes, and the same every time.

The means of the backbone's maps are computed once for each look at each picture (``ml.means``).
What is left is a multinomial logistic regression, every look a row to learn from, with a ridge and
held back from what differs between collections and with the surroundings (``ml.restraint``). Its
loss is convex, so there is one best head and no seed, no epochs and no luck. It is found with the
bound of Böhning (1992, "Multinomial logistic regression algorithm"): the curvature is never more
than that of a fixed matrix, which is decomposed once. How strong the ridge is, is chosen on the
selection split.

A run lives in one folder: ``config.json`` says what was asked for, ``head.npz`` holds the head and
the backbone it belongs to, the other ``.npz`` what it was fitted on, in case that is wanted again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ml import CLASSES, data, lite
from ml.calibrate import log_loss
from ml.lite_weights import LICENSE, PACKAGE, fingerprint, load_weights, save_weights
from ml.lungs import check_segmenter
from ml.means import Exchanged, Report, measure_exchanged, measure_means
from ml.metrics import Array
from ml.package import View
from ml.restraint import between_sources, with_surroundings
from ml.train import TrainingError

if TYPE_CHECKING:
    import keras

KIND: Final = "head"
FLAT: Final = 1e-5
"""The best head is found when the loss falls by no more than this a unit, in any direction."""


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """What decides a run, all of it."""

    size: int = 224
    """Side of the pictures; what the backbone was trained on."""
    view: View = "lungs"
    """What of a picture is looked at."""
    ridges: tuple[float, ...] = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
    """Strengths to choose from, by log loss on the selection split; the strongest wins a tie."""
    mirrored: bool = True
    """Whether the pictures to learn from are learnt from in the mirror too."""
    sampling_power: float = 0.8
    """A source × label of n pictures weighs n to this power, as in ``data.balanced_order``."""
    between: float = 0.001
    """How strongly the head is held back from what differs between sources of one class."""
    around: float = 0.02
    """How strongly it is held back from what changes with the surroundings of the lungs."""
    steps: int = 400


def smoke_config() -> HeadConfig:
    """A fit of seconds that goes through every line; its head knows little."""
    return HeadConfig(size=64, ridges=(0.1, 0.01), steps=20)


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
        config.size,
        config.view,
        cache or out / "means.npz",
        report,
    )
    first, second = means[: len(learning)], means[len(learning) :]
    if config.mirrored:
        report("Looking at those to learn from in the mirror.")
        mirror = measure_means(
            learning,
            weights,
            config.size,
            config.view,
            out / "mirrored.npz",
            report,
            mirror=True,
        )
        first = np.concatenate([first, mirror], axis=1)
    exchanged = None
    if config.view == "lungs" and config.around:
        report("Looking at a part of them in other surroundings.")
        exchanged = measure_exchanged(learning, weights, config.size, out / "exchanged.npz", report)
    chosen = choose_head(first, learning, second, selection, config, exchanged=exchanged)
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


def choose_head(
    means: npt.NDArray[Any],
    learning: Sequence[data.Row],
    watched: npt.NDArray[Any],
    selection: Sequence[data.Row],
    config: HeadConfig,
    classes: Sequence[str] = CLASSES,
    exchanged: Exchanged | None = None,
) -> Choice:
    """Fit a head with each ridge and keep the one that does best on the selection rows.

    :param means: (n, looks, FEATURES) of the learning rows; ``watched`` of the selection rows. The
        former may have more looks, such as those in the mirror.
    :param exchanged: learning pictures in other surroundings; None for nothing to hold the head
        back from there.
    """
    labels, targets = (data.labels_of(rows, classes) for rows in (learning, selection))
    shares = weigh(learning, config.sampling_power)
    held = hold_back(means, learning, config, exchanged)
    losses: dict[float, float] = {}
    best: tuple[Head, float] | None = None
    for ridge in sorted(config.ridges, reverse=True):
        start = best and best[0]
        head = fit_head(means, labels, shares, ridge, config.steps, len(classes), start, held)
        losses[ridge] = log_loss(head.probabilities(watched), targets)
        if best is None or losses[ridge] < losses[best[1]]:
            best = head, ridge
    if best is None:
        raise TrainingError("no ridge to choose from")
    return Choice(*best, losses)


def hold_back(
    means: npt.NDArray[Any],
    rows: Sequence[data.Row],
    config: HeadConfig,
    exchanged: Exchanged | None,
) -> Array:
    """The matrix that ``fit_head`` takes as ``held``."""
    held = config.between * between_sources(means, rows)
    if exchanged is not None:
        held += config.around * with_surroundings(means, rows, exchanged)
    return held


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
    held: Array | None = None,
) -> Head:
    """Minimise the weighted log loss plus ``ridge / 2`` times the squared kernel of the
    standardised means, until no slope is steeper than ``FLAT``.

    :param means: (n, looks, FEATURES). :param shares: (n,), 1 on average.
    :param steps: at most so many.
    :param start: where to begin, such as the head of a stronger ridge; it only saves steps.
    :param held: (FEATURES, FEATURES), symmetric, of ``ml.restraint``: ``kᵀ held k / 2`` is added
        for the kernel ``k`` of each class.
    """
    looks, centre, spread = _standardise(means)
    inputs = np.c_[looks, np.ones(len(looks), dtype=np.float32)]
    penalty = np.zeros((inputs.shape[1], inputs.shape[1]))
    if held is not None:
        # of standardised means, like everything here
        penalty[:-1, :-1] = held / spread[:, np.newaxis] / spread
    # the bias is free; a little keeps the matrix whole
    penalty[np.diag_indices_from(penalty)] += np.r_[np.full(len(spread), ridge), 1e-6]
    kernel = np.zeros((inputs.shape[1], classes))
    if start is not None:
        kernel[:-1] = start.kernel * spread[:, np.newaxis]
        kernel[-1] = start.bias + centre @ start.kernel
    targets = np.eye(classes)[labels.repeat(means.shape[1])]
    shares = shares.repeat(means.shape[1])
    kernel = _descend(inputs, targets, shares, penalty, kernel, steps)
    weights = kernel[:-1] / spread[:, np.newaxis]
    return Head(weights, kernel[-1] - centre @ weights)


def fit_in_span(
    means: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    shares: Array,
    ridge: float,
    steps: int = 400,
    classes: int = len(CLASSES),
) -> Head:
    """What ``fit_head`` finds with nothing to hold back, for fewer looks than there are means.

    The best kernel is then a sum of the looks (Kimeldorf & Wahba 1971), so that as many numbers as
    there are looks are searched for instead of one for each mean.
    """
    looks, centre, spread = _standardise(means)
    powers, turn = np.linalg.eigh((looks @ looks.T).astype(np.float64))
    kept = powers > powers[-1] * 1e-7
    sizes, turn = np.sqrt(powers[kept]), turn[:, kept]
    inputs = np.c_[turn * sizes, np.ones(len(looks))].astype(np.float32)
    penalty = np.diag(np.r_[np.full(len(sizes), ridge), 1e-6])
    targets = np.eye(classes)[labels.repeat(means.shape[1])]
    shares = shares.repeat(means.shape[1])
    kernel = np.zeros((inputs.shape[1], classes))
    kernel = _descend(inputs, targets, shares, penalty, kernel, steps)
    weights = looks.T @ (turn / sizes @ kernel[:-1]) / spread[:, np.newaxis]
    return Head(weights, kernel[-1] - centre @ weights)


def _standardise(means: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], Array, Array]:
    """Every look a row of its own, (n · looks, FEATURES), with mean 0 and deviation 1 in each
    column; and what was taken off and divided by, (FEATURES,) each."""
    means = means.reshape(-1, means.shape[2])
    centre = means.mean(axis=0, dtype=np.float64)
    spread = means.std(axis=0, dtype=np.float64) + 1e-6
    # half the memory to go through in every step; sums over thousands of rows keep six digits
    return ((means - centre) / spread).astype(np.float32), centre, spread


def _descend(
    inputs: npt.NDArray[Any],
    targets: Array,
    shares: Array,
    penalty: Array,
    kernel: Array,
    steps: int,
) -> Array:
    """The kernel with the least weighted log loss and penalty, from ``kernel`` on.

    :param inputs: (n, inputs), the last of them 1 for the bias. :param targets: (n, classes).
    """
    bound = 0.5 * (inputs.T * shares.astype(np.float32)) @ inputs / len(inputs)
    inverse = np.linalg.inv(bound.astype(np.float64) + penalty)
    ahead, momentum = kernel, 1.0
    for _ in range(steps):
        chances = _softmax(inputs @ ahead.astype(np.float32))
        wrong = (chances - targets) * shares[:, np.newaxis] / len(inputs)
        slope = inputs.T @ wrong.astype(np.float32) + penalty @ ahead
        moved = ahead - inverse @ slope
        # Nesterov 1983, begun anew whenever it would lead uphill (O'Donoghue & Candès 2015)
        if np.sum(slope * (moved - kernel)) > 0:
            momentum = 1.0
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = moved + (momentum - 1.0) / following * (moved - kernel)
        kernel, momentum = moved, following
        if np.abs(slope).max() < FLAT:
            break
    return kernel


def _softmax(logits: Array) -> Array:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances: Array = raised / raised.sum(axis=1, keepdims=True)
    return chances
