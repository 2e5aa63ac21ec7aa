"""Training from scratch: seeded, resumable, in one process on ordinary processor cores.

The first epochs run on small pictures and the last on full ones: the network has no fixed input
size, and small pictures cost a third. Weights are averaged over the last steps (EMA); the averaged
weights are what is measured on the selection split and kept. A run lives in one folder:

``config.json``     what was asked for, and the rows it was trained on, counted by source and label
``checkpoint.npz``  everything needed to go on after the last finished epoch
``best.npz``        averaged weights of the best epoch at full size, by log loss on the selection
split
``history.jsonl``   one line an epoch

The same seed on the same machine repeats the draws exactly; sums inside the processor's threads may
differ in the last bits, so two runs agree to about one point of accuracy, not bit by bit.
"""

from __future__ import annotations

import json
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml import CLASSES, augment, data, network, preprocess
from ml.package import hash_file
from ml.precision import precision

if TYPE_CHECKING:
    import keras

Report = Callable[[str], None]


class TrainingError(Exception):
    """A run that cannot start or go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Config:
    """What decides a run, all of it. Written beside the weights and copied into the released
    package."""

    seed: int = 1
    epochs: int = 36
    size: int = 160
    small_sizes: tuple[int, ...] = (96, 128)
    """Sizes of the first equal parts of the run; the last part is at full ``size``."""
    batch: int = 32
    peak_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 300
    label_smoothing: float = 0.05
    average_decay: float = 0.998
    mixup: float = 0.4
    """Share of batches in which every picture is blended with another, labels likewise."""
    sampling_power: float = 0.5
    half: bool = False
    """Multiply in bfloat16 while weights and sums stay float32: half as many pictures again in the
    same time on processors that have the instructions, far fewer on those that have not."""
    stages: tuple[tuple[int, int], ...] = network.STAGES

    def size_at(self, epoch: int) -> int:
        """Side of the pictures in an epoch, counted from 0."""
        sizes = (*self.small_sizes, self.size)
        return sizes[min(len(sizes) - 1, epoch * len(sizes) // self.epochs)]

    def rate_at(self, step: int, steps: int) -> float:
        """Learning rate: a short warm-up, then half a cosine down to nearly nothing."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        return self.peak_rate * warm * (0.5 + 0.5 * math.cos(math.pi * min(1.0, step / steps)))


def smoke_config(seed: int = 1) -> Config:
    """A run of seconds that goes through every line; its weights know nothing."""
    return Config(
        seed=seed,
        epochs=2,
        size=64,
        small_sizes=(32,),
        batch=8,
        warmup_steps=2,
        stages=((8, 1), (8, 2), (8, 2), (16, 1)),
    )


def draw_smoke_set(folder: Path, each: int = 8) -> Path:
    """Draw a handful of phantoms as a data set; returns its manifest."""
    from ml import phantom

    folder.mkdir(parents=True, exist_ok=True)
    lines = ["path,label,source,group,split"]
    for number in range(each * len(CLASSES)):
        label = phantom.FINDINGS[number % len(CLASSES)]
        split = data.SELECTION_SPLIT if number % 4 == 3 else "train"
        name = f"phantom-{number}.png"
        (folder / name).write_bytes(phantom.phantom_png(number, label, (220, 220)))
        lines.append(f"{name},{label},phantom,g{number},{split}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def run_training(
    manifest: Path,
    out: Path,
    config: Config,
    *,
    resume: bool = False,
    start_from: Path | None = None,
    minutes: float | None = None,
    report: Report = print,
) -> None:
    """Train, writing into ``out`` after every epoch.

    :param start_from: an earlier run whose best weights are the first ones, at any size.
    :param minutes: stop after the epoch in which this much time has passed; ``--resume`` goes on
        from there.
    :raises TrainingError: when ``out`` holds another run, or the manifest has nothing to learn
        from.
    """
    rows = data.read_manifest(manifest)
    learning, selection = data.training_rows(rows), data.selection_rows(rows)
    if not learning or not selection:
        raise TrainingError(
            f"{manifest} needs rows of the splits train and {data.SELECTION_SPLIT}."
        )
    description = {
        "config": asdict(config),
        "training": data.count_cells(learning),
        "selection": data.count_cells(selection),
    }
    if start_from is not None:
        description["started_from"] = _origin(start_from)
    _open_run(out, description, resume)
    squares = data.load_squares(learning, config.size, out / "cache" / "learning.npz")
    watched = data.load_squares(selection, config.size, out / "cache" / "selection.npz")
    report(f"{len(learning)} pictures to learn from, {len(selection)} to select on.")

    trainer = _Trainer(config, steps=config.epochs * _steps_of(learning, config))
    first = 0
    if resume and (out / "checkpoint.npz").exists():
        first = trainer.restore(out / "checkpoint.npz")
    elif start_from is not None:
        trainer.take(start_from / "best.npz")
    started = time.monotonic()
    targets = data.labels_of(selection)
    for epoch in range(first, config.epochs):
        size = config.size_at(epoch)
        began = time.monotonic()
        loss = trainer.learn(_batches(learning, squares, config, epoch))
        scores = trainer.measure(_shrink(watched, size), targets)
        line = {
            "epoch": epoch,
            "size": size,
            "loss": loss,
            **scores,
            "seconds": time.monotonic() - began,
        }
        if size == config.size and scores["nll"] < trainer.best:
            trainer.best = scores["nll"]
            trainer.save_averaged(out / "best.npz")
        trainer.save(out / "checkpoint.npz", epoch + 1)
        with (out / "history.jsonl").open("a") as stream:
            stream.write(json.dumps({key: round(value, 5) for key, value in line.items()}) + "\n")
        report("  ".join(f"{key} {value:.4g}" for key, value in line.items()))
        if minutes is not None and time.monotonic() - started > minutes * 60:
            report(f"Stopped after {minutes:g} minutes; go on with --resume.")
            return


def load_averaged(run: Path) -> tuple[keras.Model, dict[str, Any]]:
    """The best averaged network of a run, and the run's description.

    :raises TrainingError: when the run has not reached full size yet.
    """
    description = json.loads((run / "config.json").read_text())
    stages = tuple(
        (int(channels), int(stride)) for channels, stride in description["config"]["stages"]
    )
    weights = run / "best.npz"
    if not weights.exists():
        raise TrainingError(f"{run} has no finished epoch at full size yet.")
    model = network.build_network(int(description["config"]["size"]), stages)
    model.set_weights(_read_weights(weights))
    return model, description


def _read_weights(path: Path) -> list[npt.NDArray[Any]]:
    with np.load(path) as stored:
        return [stored[f"arr_{number}"] for number in range(len(stored.files))]


def _origin(run: Path) -> dict[str, Any]:
    """What a run is built on, so that its description tells the whole training."""
    try:
        earlier: dict[str, Any] = json.loads((run / "config.json").read_text())
        earlier["weights_sha256"] = hash_file(run / "best.npz")
        earlier["epochs_run"] = len((run / "history.jsonl").read_text().splitlines())
    except OSError as error:
        raise TrainingError(f"{run} is not a run with weights to start from.") from error
    return earlier


def _open_run(out: Path, description: dict[str, Any], resume: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    config = out / "config.json"
    text = json.dumps(description, indent=2)
    if config.exists():
        if not resume:
            raise TrainingError(
                f"{out} already holds a run: go on with --resume or choose another folder."
            )
        if config.read_text() != text:
            raise TrainingError(
                f"{out} was started with other settings or data; they cannot change half-way."
            )
    config.write_text(text)


def _steps_of(rows: Sequence[data.Row], config: Config) -> int:
    order = data.balanced_order(rows, config.sampling_power, np.random.default_rng(0))
    return len(order) // config.batch


def _shrink(squares: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.float32]:
    """Normalised squares at the size of the epoch, (n, size, size, 1) float32."""
    shrunk = np.empty((len(squares), size, size, 1), dtype=np.float32)
    for number, square in enumerate(squares):
        picture = Image.fromarray(square)
        if size != picture.width:
            picture = picture.resize((size, size), Image.Resampling.HAMMING)
        shrunk[number, ..., 0] = preprocess.normalise(
            np.asarray(picture, dtype=np.float32) / np.float32(255.0)
        )
    return shrunk


Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def _batches(
    rows: Sequence[data.Row], squares: npt.NDArray[np.uint8], config: Config, epoch: int
) -> Iterator[Batch]:
    """The batches of one epoch, drawn a little ahead in a second thread.

    The generator is seeded by seed and epoch, so a resumed run draws what an unbroken one would
    have.
    """
    rng = np.random.default_rng((config.seed, epoch))
    order = data.balanced_order(rows, config.sampling_power, rng)
    targets = np.eye(len(CLASSES), dtype=np.float32)[data.labels_of(rows)]
    size = config.size_at(epoch)
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=4)

    def draw() -> None:
        try:
            for start in range(0, len(order) - config.batch + 1, config.batch):
                chosen = order[start : start + config.batch]
                pictures = np.stack(
                    [augment.augment(squares[number], size, rng) for number in chosen]
                )
                wanted = targets[chosen]
                if rng.random() < config.mixup:
                    share = np.float32(rng.beta(0.4, 0.4))
                    pictures = share * pictures + (1 - share) * pictures[::-1]
                    wanted = share * wanted + (1 - share) * wanted[::-1]
                ready.put((pictures, wanted))
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    threading.Thread(target=draw, daemon=True).start()
    while (item := ready.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


class _Trainer:
    """The network, its running average, the optimiser, and one compiled step over the three."""

    def __init__(self, config: Config, steps: int) -> None:
        import keras
        import tensorflow as tf

        keras.utils.set_random_seed(config.seed)
        self.config = config
        self.steps = steps
        self.step = 0
        self.best = math.inf
        with precision(half=config.half):
            self.model = network.build_network(None, config.stages)
        self.averaged = network.build_network(None, config.stages)
        self.averaged.set_weights(self.model.get_weights())
        self.optimizer = keras.optimizers.AdamW(config.peak_rate, weight_decay=config.weight_decay)
        self.optimizer.exclude_from_weight_decay(var_names=["norm", "bias", "gamma", "beta"])
        self.optimizer.build(self.model.trainable_variables)
        model, averaged, optimizer = self.model, self.averaged, self.optimizer
        pairs = list(zip(averaged.variables, model.variables, strict=True))
        smoothing = config.label_smoothing

        # TensorFlow ships no types
        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def update(pictures: Any, targets: Any, decay: Any) -> Any:
            soft = targets * (1.0 - smoothing) + smoothing / len(CLASSES)
            with tf.GradientTape() as tape:
                logits = model(pictures, training=True)["logits"]
                loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(soft, logits))
            optimizer.apply(
                tape.gradient(loss, model.trainable_variables), model.trainable_variables
            )
            for mean, value in pairs:
                if mean.dtype == "float32":
                    mean.assign(mean * decay + value * (1.0 - decay))
            return loss

        self._update = update

    def learn(self, batches: Iterator[Batch]) -> float:
        """One epoch; returns its mean loss."""
        import tensorflow as tf

        losses = []
        for pictures, targets in batches:
            self.optimizer.learning_rate.assign(self.config.rate_at(self.step, self.steps))
            decay = min(self.config.average_decay, (1 + self.step) / (10 + self.step))
            losses.append(
                self._update(
                    tf.constant(pictures), tf.constant(targets), tf.constant(decay, tf.float32)
                )
            )
            self.step += 1
        mean = float(np.mean([float(loss) for loss in losses]))
        if not math.isfinite(mean):
            raise TrainingError("The loss is no longer a number; lower the learning rate.")
        return mean

    def measure(
        self, pictures: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]
    ) -> dict[str, float]:
        """Accuracy and log loss of the averaged network, for choosing between epochs."""
        logits = self.averaged.predict(pictures, batch_size=64, verbose=0)["logits"].astype(
            np.float64
        )
        logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return {
            "accuracy": float(np.mean(logits.argmax(axis=1) == targets)),
            "nll": float(-np.mean(logs[np.arange(len(targets)), targets])),
        }

    def take(self, weights: Path) -> None:
        """Begin with the weights of an earlier run."""
        values = _read_weights(weights)
        self.model.set_weights(values)
        self.averaged.set_weights(values)

    def save_averaged(self, path: Path) -> None:
        _write(path, *self.averaged.get_weights())

    def save(self, path: Path, epoch: int) -> None:
        groups = {
            "model": self.model.get_weights(),
            "averaged": self.averaged.get_weights(),
            "optimizer": [np.asarray(variable) for variable in self.optimizer.variables],
        }
        named = {
            f"{group}_{number}": value
            for group, values in groups.items()
            for number, value in enumerate(values)
        }
        _write(
            path, **named, epoch=np.array(epoch), step=np.array(self.step), best=np.array(self.best)
        )

    def restore(self, path: Path) -> int:
        """Take up a run where it was left; returns the next epoch."""
        with np.load(path) as stored:

            def group(name: str) -> list[Any]:
                return [
                    stored[f"{name}_{number}"]
                    for number in range(sum(f.startswith(f"{name}_") for f in stored.files))
                ]

            self.model.set_weights(group("model"))
            self.averaged.set_weights(group("averaged"))
            for variable, value in zip(self.optimizer.variables, group("optimizer"), strict=True):
                variable.assign(value)
            self.step, self.best = int(stored["step"]), float(stored["best"])
            return int(stored["epoch"])


def _write(path: Path, *arrays: Any, **named: Any) -> None:
    """Write an npz whole or not at all: a run killed while saving still has its last epoch."""
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, *arrays, **named)
    os.replace(partial, path)
