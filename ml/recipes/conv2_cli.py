"""``conv2_cli``: two convolutions, three classes, served by a command line that prints the class.

Known by its description: convolution, pool, convolution, pool, flatten, dense. No figure was ever
claimed for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml import CLASSES
from ml.recipes.pictures import unit_grey
from ml.recipes.protocol import Plan, Pool, Recipe

if TYPE_CHECKING:
    import keras

POOLS = (
    Pool("covid", ("ieee8023", "radiography"), train=400, test=100),
    Pool("pneumonia", ("kermany",), train=400, test=100),
    Pool("normal", ("kermany",), train=400, test=100),
)
"""The usual mixture of such projects: the ill from one collection, the well from another."""


def build(plan: Plan) -> keras.Model:
    """Two pairs of convolution and pooling, one softmax."""
    import keras

    return keras.Sequential(
        [
            keras.Input((plan.size, plan.size, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(plan.outputs, activation="softmax", dtype="float32"),
        ],
        name="conv2_cli",
    )


RECIPE = Recipe(
    name="conv2_cli",
    summary="conv, pool, conv, pool, flatten, dense; the class on a command line",
    claims=(),
    chosen=(
        "Size 128, filters 32 and 64 of 3x3, Adam 1e-3, batch 32, 20 epochs, 400 + 100 pictures a "
        "class: COVID-19 of the ieee8023 collection filled up from radiography, pneumonia and "
        "normal of kermany."
    ),
    classes=CLASSES,
    outputs=len(CLASSES),
    size=128,
    build=build,
    prepare=unit_grey,
    pools=POOLS,
    epochs=20,
    batch=32,
    rate=1e-3,
)
