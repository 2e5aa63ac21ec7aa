"""Training the lung segmenter: a small U-Net, outlines drawn by hand, and its own best guesses.

The outlines are the 89 of the COVID-19 Chest X-ray Segmentations Dataset, all of them adults'
films of one collection. So the network is trained twice: on the outlines alone, and then on them
together with its own answers for children's and other collections' films, where five views of a
film (plain, mirrored, shrunk, two exposures) agree about the lungs. Pictures of the test split
and of the held-out groups are seen by neither.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from ml import data, lungs
from ml.lungs_data import (
    Bytes,
    Outlined,
    load_outlined,
    rows_to_guess,
    split_outlined,
    vary,
)
from ml.network import write_litert
from ml.package import MANIFEST, hash_file
from ml.preprocess import PREPROCESSING_VERSION, FloatArray, normalise

if TYPE_CHECKING:
    import keras

WIDTHS: Final = (16, 32, 48, 64, 64)
"""Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input's side."""
AGREEMENT: Final = 0.96
"""Mean Dice of the views with their mean, for an answer to be learned from."""
LIMITS_TEXT: Final = (
    "Made to ask where a classifier's evidence lies, not to measure lungs. Trained on adults' "
    "outlines and on its own answers elsewhere; consolidated lung at the edge may be left out."
)


@dataclass(frozen=True, slots=True)
class LungConfig:
    """What a training run depends on, besides the pictures."""

    seed: int = 1
    size: int = 128
    batch: int = 16
    first_steps: int = 600
    second_steps: int = 1100
    peak_rate: float = 2e-3
    guesses: int = 110
    """Pictures without outline, from each source x label, offered to the second training."""
    guessed_share: float = 0.6
    """Of each batch in the second training."""


def build_lung_network(size: int) -> keras.Model:
    """The untrained network, from (n, size, size, 1) to scores (n, size, size, 1).

    A U-Net (Ronneberger et al. 2015) that works at half the resolution and spreads its last four
    channels over the full one.

    :param size: a multiple of 32.
    """
    import keras

    layers = keras.layers

    def convolve(x: Any, channels: int, stride: int = 1) -> Any:
        x = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.95, epsilon=1e-4)(x)
        return layers.ReLU()(x)

    inputs = keras.Input((size, size, 1), name="image")
    x = convolve(convolve(inputs, WIDTHS[0], stride=2), WIDTHS[0])
    skips = []
    for channels in WIDTHS[1:]:
        skips.append(x)
        x = convolve(convolve(x, channels, stride=2), channels)
    for skip, channels in zip(reversed(skips), reversed(WIDTHS[:-1]), strict=True):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = convolve(layers.Concatenate()([x, skip]), channels)
    x = layers.Conv2D(4, 3, padding="same")(x)
    half = size // 2
    x = layers.Reshape((half, half, 2, 2))(x)
    x = layers.Permute((1, 3, 2, 4))(x)
    x = layers.Reshape((size, size, 1), name="lungs")(x)
    return keras.Model(inputs, x, name="lungs")


def _batches(
    outlined: Outlined,
    guessed: Outlined | None,
    config: LungConfig,
    steps: int,
    rng: np.random.Generator,
) -> Iterator[tuple[FloatArray, FloatArray]]:
    for _ in range(steps):
        pictures, masks = [], []
        for _ in range(config.batch):
            pool = outlined
            if guessed is not None and rng.random() < config.guessed_share:
                pool = guessed
            number = int(rng.integers(len(pool.squares)))
            picture, mask = vary(pool.squares[number], pool.masks[number], rng)
            pictures.append(picture)
            masks.append(mask)
        yield np.array(pictures)[..., np.newaxis], np.array(masks)[..., np.newaxis]


def fit(
    network: keras.Model,
    outlined: Outlined,
    guessed: Outlined | None,
    config: LungConfig,
    steps: int,
    report: Callable[[str], None],
) -> None:
    """Train in place; the weights end as their own running average."""
    import keras
    import tensorflow as tf

    rate = keras.optimizers.schedules.CosineDecay(
        config.peak_rate * 0.05, steps, alpha=0.01, warmup_target=config.peak_rate, warmup_steps=40
    )
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=0.01, use_ema=True, ema_momentum=0.98, global_clipnorm=1.0
    )
    optimizer.build(network.trainable_variables)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(pictures: Any, masks: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = network(pictures, training=True)
            entropy = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels=masks, logits=scores)
            )
            shown = tf.sigmoid(scores)
            overlap = tf.reduce_sum(shown * masks, axis=(1, 2, 3))
            total = tf.reduce_sum(shown + masks, axis=(1, 2, 3))
            loss = entropy + 1.0 - tf.reduce_mean((2.0 * overlap + 10.0) / (total + 10.0))
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        return loss

    rng = np.random.default_rng((config.seed, steps))
    started, mean = time.monotonic(), 0.0
    for number, (pictures, masks) in enumerate(_batches(outlined, guessed, config, steps, rng), 1):
        loss = float(step(tf.constant(pictures), tf.constant(masks)))
        mean += (loss - mean) * max(0.02, 1.0 / number)
        if number % 100 == 0 or number == steps:
            report(f"step {number}  loss {mean:.4f}  seconds {time.monotonic() - started:.0f}")
    optimizer.finalize_variable_values(network.trainable_variables)


def probabilities(network: keras.Model, squares: Bytes) -> FloatArray:
    """Lung probability of plain squares, (n, s, s) float32."""
    values = squares.astype(np.float32) / np.float32(255.0)
    return _scores(network, values)


def _scores(network: keras.Model, values: FloatArray) -> FloatArray:
    prepared = np.stack([normalise(value) for value in values])[..., np.newaxis]
    scores = network.predict(prepared, batch_size=32, verbose=0)[..., 0]
    shown: FloatArray = (1.0 / (1.0 + np.exp(-np.clip(scores, -30.0, 30.0)))).astype(np.float32)
    return shown


def guess(network: keras.Model, rows: Sequence[data.Row], size: int) -> tuple[Outlined, int]:
    """The network's own masks where five views of a picture agree; and how many were offered."""
    squares = data.load_squares(rows, size)
    values = squares.astype(np.float32) / np.float32(255.0)
    inner = round(size * 0.85)
    edge = (size - inner) // 2
    shrunk = np.zeros_like(values)
    for number, value in enumerate(values):
        small = Image.fromarray(value).resize((inner, inner), Image.Resampling.BILINEAR)
        shrunk[number, edge : edge + inner, edge : edge + inner] = np.asarray(small)
    enlarged = np.empty_like(values)
    for number, shown in enumerate(_scores(network, shrunk)):
        cut = Image.fromarray(shown[edge : edge + inner, edge : edge + inner])
        enlarged[number] = np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR))
    views = np.stack(
        [
            _scores(network, values),
            _scores(network, values[:, :, ::-1])[:, :, ::-1],
            enlarged,
            _scores(network, np.power(values, np.float32(0.7))),
            _scores(network, np.power(values, np.float32(1.5))),
        ]
    )
    mean = views.mean(axis=0)
    kept, masks = [], []
    for number in range(len(rows)):
        found = lungs.judge(mean[number])
        agreement = np.mean([lungs.dice(view[number] >= 0.5, found.mask) for view in views])
        if found.found and agreement >= AGREEMENT:
            kept.append(number)
            masks.append(found.mask.astype(np.uint8) * 255)
    names = [rows[number].name for number in kept]
    return Outlined(names, squares[kept], np.array(masks, dtype=np.uint8)), len(rows)


def score(network: keras.Model, outlined: Outlined) -> dict[str, Any]:
    """Dice of the drawn masks with the outlines."""
    drawn = [lungs.judge(shown) for shown in probabilities(network, outlined.squares)]
    found = [
        lungs.dice(one.mask, mask > 0) for one, mask in zip(drawn, outlined.masks, strict=True)
    ]
    return {
        "n": len(found),
        "dice_mean": round(float(np.mean(found)), 4) if found else None,
        "dice_lowest": round(float(np.min(found)), 4) if found else None,
        "failed": sum(not one.found for one in drawn),
    }


def train_lungs(
    manifest: Path,
    out: Path,
    config: LungConfig,
    version: str,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train a segmenter and write its package into ``out``, which must not exist yet.

    :returns: the package's manifest.
    :raises ManifestError: when the data cannot be used; ``FileExistsError`` for ``out``.
    """
    import keras

    out.mkdir(parents=True)
    keras.utils.set_random_seed(config.seed)
    pairs, read = load_outlined(manifest, config.size)
    parts = split_outlined(pairs, config.seed)
    sets = {name: read(chosen) for name, chosen in parts.items() if name != "one_lung"}
    counts: dict[str, Any] = {name: len(chosen) for name, chosen in parts.items()}
    report(f"outlines: {counts}")
    network = build_lung_network(config.size)
    fit(network, sets["train"], None, config, config.first_steps, report)
    first = {name: score(network, sets[name]) for name in ("held_out", "unseen")}
    report(f"after the outlines: {first}")

    barred = {row.group or row.name for name in ("held_out", "unseen") for row, _ in parts[name]}
    offered = rows_to_guess(data.read_manifest(manifest), barred, config.guesses, config.seed)
    guessed, asked = guess(network, offered, config.size)
    counts["guessed"] = {"offered": asked, "kept": len(guessed.names)}
    report(f"own answers kept: {len(guessed.names)} of {asked}")
    if len(guessed.names) > 0:
        fit(network, sets["train"], guessed, config, config.second_steps, report)
    figures = {name: score(network, sets[name]) for name in ("train", "held_out", "unseen")}
    report(f"in the end: {figures}")

    write_litert(network, out / lungs.LITERT_FILE)
    content = {
        "name": "lungs",
        "version": version,
        "created": dt.datetime.now(dt.UTC).date().isoformat(),
        "input": {"size": config.size, "channels": 1, "type": "float32"},
        "preprocessing_version": PREPROCESSING_VERSION,
        "parameters": network.count_params(),
        "sha256": {lungs.LITERT_FILE: hash_file(out / lungs.LITERT_FILE)},
        "training": {"config": asdict(config), "counts": counts},
        "metrics": {"dice_without_own_answers": first, "dice": figures},
        "limits": LIMITS_TEXT,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (out / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return content
