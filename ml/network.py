"""The network: a small residual CNN whose class maps are part of its forward pass.

The head is a 1x1 convolution to one map a class, followed by the plain mean over each map. So a
logit *is* the mean of its class map, and the heatmap shown to a clinician is the exact evidence
behind the number, at no cost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml import CLASSES

if TYPE_CHECKING:
    import keras

STAGES = ((32, 1), (64, 2), (128, 2), (192, 1))
"""Channels and stride of each stage of two blocks; the last keeps its stride so that maps stay at
size / 16."""


def build_network(
    size: int | None = None,
    stages: tuple[tuple[int, int], ...] = STAGES,
    *,
    folded: bool = False,
) -> keras.Model:
    """Build the untrained network.

    :param size: side of the input in pixels, or None for any multiple of 16.
    :param folded: leave out the batch norms and give the convolutions biases instead, as
        ``fold_norms`` wants it.
    :returns: a model from (n, size, size, 1) float32 to ``logits`` (n, 3), ``cam`` (n, size/16,
        size/16, 3) and ``features`` (n, channels), the mean of the last feature maps.
    """
    import keras

    inputs = keras.Input((size, size, 1), name="image")
    convolve = _plain_convolution if folded else _normed_convolution
    x = convolve(inputs, stages[0][0], kernel=5, stride=2, name="stem")
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    for number, (channels, stride) in enumerate(stages, start=1):
        x = _block(convolve, x, channels, stride, name=f"stage{number}a")
        x = _block(convolve, x, channels, 1, name=f"stage{number}b")
    features = keras.layers.GlobalAveragePooling2D(name="features")(x)
    cam = keras.layers.Conv2D(len(CLASSES), 1, dtype="float32", name="cam")(x)
    logits = keras.layers.GlobalAveragePooling2D(dtype="float32", name="logits")(cam)
    return keras.Model(
        inputs, {"logits": logits, "cam": cam, "features": features}, name="thorascreen"
    )


def fold_norms(trained: keras.Model, size: int, stages: tuple[tuple[int, int], ...]) -> keras.Model:
    """The same function without batch norms, its weights rounded to half precision.

    Both released files hold these very weights, the one as float32 numbers and the other as
    float16, so that they cannot disagree by rounding.
    """
    plain = build_network(size, stages, folded=True)
    for layer in plain.layers:
        if not layer.weights:
            continue
        source = trained.get_layer(layer.name)
        if layer.name.endswith("_conv"):
            (kernel,) = source.get_weights()
            norm = trained.get_layer(layer.name.removesuffix("_conv") + "_norm")
            gain, shift, mean, variance = norm.get_weights()
            factor = gain / np.sqrt(variance + norm.epsilon)
            folded = [kernel * factor, shift - mean * factor]
        else:
            folded = source.get_weights()
        layer.set_weights(in_half(folded))
    return plain


def in_half(values: Iterable[npt.NDArray[Any]]) -> list[npt.NDArray[np.float32]]:
    """Weights rounded to half precision, as released files hold them."""
    return [value.astype(np.float16).astype(np.float32) for value in values]


def _normed_convolution(
    x: Any, channels: int, kernel: int, stride: int, name: str, relu: bool = True
) -> Any:
    import keras

    x = keras.layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = keras.layers.BatchNormalization(momentum=0.98, epsilon=1e-4, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _plain_convolution(
    x: Any, channels: int, kernel: int, stride: int, name: str, relu: bool = True
) -> Any:
    import keras

    x = keras.layers.Conv2D(channels, kernel, strides=stride, padding="same", name=f"{name}_conv")(
        x
    )
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _block(convolve: Callable[..., Any], x: Any, channels: int, stride: int, name: str) -> Any:
    import keras

    shortcut = x
    if stride != 1 or x.shape[-1] != channels:
        shortcut = convolve(x, channels, kernel=1, stride=stride, name=f"{name}_skip", relu=False)
    x = convolve(x, channels, kernel=3, stride=stride, name=f"{name}_1")
    x = convolve(x, channels, kernel=3, stride=1, name=f"{name}_2", relu=False)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def write_litert(network: keras.Model, path: Path) -> None:
    """Write the serving file, weights in half precision, batch norms folded by the converter."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        network.export(folder, format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        path.write_bytes(converter.convert())
