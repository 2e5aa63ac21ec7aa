"""``darkcovidnet``: the 17 convolutions of Ozturk et al. 2020.

doi 10.1016/j.compbiomed.2020.103792.

Each convolution but the last is followed by batch norm and a leaky ReLU of 0.1; five max pools; the
1x1 convolutions are padded by one pixel, as in the authors' published code, so that 256 pixels end
as 13 x 13 places. Trained on exactly the 1,125 bench pictures and the five given folds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml import CLASSES
from ml.recipes.pictures import imagenet_colour
from ml.recipes.protocol import Augmentation, Claim, Plan, Pool, Recipe

if TYPE_CHECKING:
    import keras

CONVOLUTIONS = 17
PAPER_THREE_CLASSES = 0.8702
PAPER_COVID_NORMAL = 0.9808


def build(plan: Plan) -> keras.Model:
    """The paper's network for any number of classes."""
    import keras

    inputs = keras.Input((plan.size, plan.size, 3))
    x = _pool(_convolve(inputs, 8))
    x = _pool(_convolve(x, 16))
    for wide in (32, 64, 128):
        x = _pool(_three(x, wide))
    x = _three(x, 256)
    x = _convolve(x, 128, kernel=1)
    x = _convolve(x, 256)
    x = keras.layers.Conv2D(plan.outputs, 3, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    x = keras.layers.Flatten()(x)
    outputs = keras.layers.Dense(plan.outputs, activation="softmax", dtype="float32")(x)
    return keras.Model(inputs, outputs, name="darkcovidnet")


def _three(x: Any, wide: int) -> Any:
    """Wide, narrow, wide."""
    return _convolve(_convolve(_convolve(x, wide), wide // 2, kernel=1), wide)


def _pool(x: Any) -> Any:
    import keras

    return keras.layers.MaxPooling2D()(x)


def _convolve(x: Any, channels: int, kernel: int = 3) -> Any:
    import keras

    x = keras.layers.ZeroPadding2D(1)(x)
    x = keras.layers.Conv2D(channels, kernel, use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return keras.layers.LeakyReLU(negative_slope=0.1)(x)


RECIPE = Recipe(
    name="darkcovidnet",
    summary="17 convolutions on the five given folds of the 1,125 bench pictures",
    claims=(
        Claim("accuracy", PAPER_THREE_CLASSES, "accuracy 87.02 % three classes"),
        Claim("accuracy", PAPER_COVID_NORMAL, "accuracy 98.08 % COVID-19 against no findings"),
    ),
    chosen=(
        "Mirroring, turns of up to 10 degrees and zoom of up to 1.1 for fastai's standard "
        "transforms; one cosine cycle up to 3e-3 with Adam; no weight decay."
    ),
    classes=CLASSES,
    outputs=len(CLASSES),
    size=256,
    build=build,
    prepare=imagenet_colour,
    pools=tuple(Pool(label, ("darkcovidnet",), train=0, test=0) for label in CLASSES),
    epochs=100,
    batch=32,
    rate=3e-3,
    one_cycle=True,
    augmentation=Augmentation(turn_degrees=10.0, zoom=0.1, flip=True),
    folds=True,
)
