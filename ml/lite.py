"""A network that could see before it saw a radiograph: EfficientNet-Lite0 with a linear head.

The backbone was trained on ImageNet photographs by others (Tan & Le 2019; the Lite variants are
of the TensorFlow TPU project, Apache-2.0) and stays as it is. What is learnt here is one linear
layer over the mean of its maps at four depths. That is little enough to be fitted exactly, in
minutes, and so little that it has fewer ways of learning a collection by heart than a network of
our own: see the unseen sources in the model card.

The means are taken over the lungs: each place counts by the lungs' share in it, which comes with
the picture (``ml.view``). A mean is linear, so each depth's share of a logit is the mean of a class
map of that depth, weighed by place. The class maps are brought to the size of the finest and added:
the drawn evidence still *is* the answer, as in ``ml.network``, and it lies in the lungs.

The backbone takes grey squares as ``ml.preprocess`` makes them. Its three colour inputs would all
see the same picture, so that their kernels are added up once, and its batch norms are folded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ml import CLASSES
from ml.network import in_half

if TYPE_CHECKING:
    import keras

Weights = Mapping[str, npt.NDArray[np.float32]]
"""By layer: ``NAME/kernel`` as Keras has it, and ``NAME/bias``."""

Stages = tuple[tuple[int, int, int, int, int], ...]
"""Of each stage: kernel, stride, expansion, channels, blocks."""
STAGES: Final[Stages] = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
"""Tan & Le 2019, table 1, without squeeze-and-excitation, as the Lite variants have it."""


def _scale(wider: float, deeper: float) -> Stages:
    """Stages with more channels, in eights, and more blocks, but for the first and the last stage
    (Tan & Le 2019, section 3.3, as the Lite variants have it)."""
    ends = STAGES[0], STAGES[-1]
    scaled = []
    for stage in STAGES:
        kernel, stride, expansion, channels, blocks = stage
        channels = int(channels * wider + 4) // 8 * 8
        blocks = blocks if stage in ends else math.ceil(blocks * deeper)
        scaled.append((kernel, stride, expansion, channels, blocks))
    return tuple(scaled)


DEEPER: Final = _scale(1.0, 1.1)
"""Lite1. Only benches use it and the next."""
WIDER: Final = _scale(1.1, 1.2)
"""Lite2."""
STEM: Final = 32
TOP: Final = 1280
TAPS: Final = {"fine": 40, "middle": 112, "coarse": 320, "top": TOP}
"""Channels of the maps that the head sees: after the third, fifth and last stage, and the top."""
FEATURES: Final = sum(TAPS.values())
GAIN: Final = 0.5
"""What a normalised square is multiplied with to resemble what the backbone was trained on, grey
values between -1 and 1."""
NOWHERE: Final = 1e-4
"""What a place without lung counts; all places count alike where there is no lung at all."""
SHRINK: Final = 32
"""How much smaller the coarsest maps are than the picture."""


def build_network(size: int) -> keras.Model:
    """Backbone and head, untrained, with the outputs of ``ml.network``: ``logits``, ``cam`` and
    ``features``, the means of the coarsest maps before the top.

    The head's layers are named ``head_fine`` and so on; only the last one carries a bias.

    :param size: a multiple of 32.
    """
    import keras

    inputs, taps, weights = maps_of(size)
    side = taps["fine"].shape[1]
    parts = []
    for name, maps in taps.items():
        part = keras.layers.Conv2D(
            len(CLASSES), 1, use_bias=name == "top", name=f"head_{name}", dtype="float32"
        )(maps)
        part = keras.layers.Multiply(name=f"weigh_{name}", dtype="float32")([part, weights[name]])
        if (factor := side // maps.shape[1]) > 1:
            part = keras.layers.UpSampling2D(factor, name=f"spread_{name}", dtype="float32")(part)
        parts.append(part)
    cam = keras.layers.Add(name="cam", dtype="float32")(parts)
    logits = keras.layers.GlobalAveragePooling2D(dtype="float32", name="logits")(cam)
    seen = keras.layers.Multiply()([taps["coarse"], weights["coarse"]])
    features = keras.layers.GlobalAveragePooling2D(name="features")(seen)
    return keras.Model(
        inputs, {"logits": logits, "cam": cam, "features": features}, name="thorascreen"
    )


def build_features(size: int) -> keras.Model:
    """The backbone with the mean of each map over the lungs, side by side: (n, FEATURES), what a
    head is fitted on."""
    import keras

    inputs, taps, weights = maps_of(size)
    means = [
        keras.layers.GlobalAveragePooling2D()(keras.layers.Multiply()([maps, weights[name]]))
        for name, maps in taps.items()
    ]
    return keras.Model(inputs, keras.layers.Concatenate(name="features")(means), name="lite0_means")


def set_backbone(model: keras.Model, weights: Weights) -> None:
    """Give a model of this module the weights of its backbone, rounded to half precision, as a
    released package will hold them.

    :raises KeyError, ValueError: when they are those of another network.
    """
    for layer in model.layers:
        if layer.weights and not layer.name.startswith("head_"):
            pair = [weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]]
            layer.set_weights(in_half(pair))


def set_head(
    network: keras.Model, kernel: npt.NDArray[np.float64], bias: npt.NDArray[np.float64]
) -> None:
    """Give a network its head, rounded to half precision.

    :param kernel: (FEATURES, classes), for the means in the order of ``TAPS``.
    :param bias: (classes,).
    """
    start = 0
    for name, channels in TAPS.items():
        part = kernel[start : start + channels][np.newaxis, np.newaxis]
        start += channels
        values = [part, bias] if name == "top" else [part]
        network.get_layer(f"head_{name}").set_weights(in_half(values))


def maps_of(size: int, stages: Stages = STAGES) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Inputs, the maps of each tap, and how much each of their places counts, 1 on average, as
    symbols of Keras."""
    import keras

    if size % SHRINK:
        raise ValueError(f"the side must be a multiple of {SHRINK}, not {size}")
    inputs = keras.Input((size, size, 2), name="image")
    share = inputs[..., 1:]
    x = _convolve(inputs[..., :1], STEM, 3, 2, "stem")
    taps: dict[str, Any] = {}
    number = 0
    for stage, (kernel, stride, expansion, channels, blocks) in enumerate(stages):
        for block in range(blocks):
            x = _block(x, kernel, stride if block == 0 else 1, expansion, channels, number)
            number += 1
        if stage in (2, 4, 6):
            taps[("fine", "middle", "coarse")[stage // 2 - 1]] = x
    taps["top"] = _convolve(x, TOP, 1, 1, "top")
    weights = {name: _weigh(share, size // maps.shape[1]) for name, maps in taps.items()}
    return inputs, taps, weights


def _weigh(share: Any, shrink: int) -> Any:
    import keras

    coarse = keras.layers.AveragePooling2D(shrink)(share) + NOWHERE
    return coarse / keras.ops.mean(coarse, axis=(1, 2), keepdims=True)


def _block(x: Any, kernel: int, stride: int, expansion: int, channels: int, number: int) -> Any:
    import keras

    name, before = f"block{number}", x
    if expansion != 1:
        x = _convolve(x, x.shape[-1] * expansion, 1, 1, f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(kernel, stride, padding="same", name=f"{name}_depth")(x)
    x = keras.layers.ReLU(6.0, name=f"{name}_depth_relu")(x)
    x = keras.layers.Conv2D(channels, 1, name=f"{name}_project")(x)
    if stride == 1 and before.shape[-1] == channels:
        x = keras.layers.Add(name=f"{name}_add")([x, before])
    return x


def _convolve(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    import keras

    x = keras.layers.Conv2D(channels, kernel, stride, padding="same", name=name)(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)
