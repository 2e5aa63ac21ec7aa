"""``conv2_vgg16``: the well-known twin of ``conv2_cli`` upon a frozen VGG16.

Frozen ImageNet VGG16, average pool 4x4, dense 64, dropout 0.5, softmax; Adam 1e-3, 25 epochs, batch
8, turns of up to 15 degrees. Without ImageNet weights nothing is frozen and all is learnt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml import CLASSES
from ml.recipes.conv2_cli import POOLS
from ml.recipes.pictures import unit_colour
from ml.recipes.protocol import Augmentation, Plan, Recipe

if TYPE_CHECKING:
    import keras


def build(plan: Plan) -> keras.Model:
    """VGG16 with the small head."""
    import keras

    base = keras.applications.VGG16(
        weights=plan.weights, include_top=False, input_shape=(plan.size, plan.size, 3)
    )
    base.trainable = plan.weights is None
    x = keras.layers.AveragePooling2D(1 if plan.tiny else 4)(base.output)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(64, activation="relu")(x)
    x = keras.layers.Dropout(0.5)(x)
    outputs = keras.layers.Dense(plan.outputs, activation="softmax", dtype="float32")(x)
    return keras.Model(base.input, outputs, name="conv2_vgg16")


RECIPE = Recipe(
    name="conv2_vgg16",
    summary="VGG16, average pool 4x4, dense 64, dropout .5, softmax; twin of conv2_cli",
    claims=(),
    chosen=(
        "Size 224 and greys in [0, 1], as its tutorial has them; the pictures of conv2_cli, so "
        "that the two can be compared."
    ),
    classes=CLASSES,
    outputs=len(CLASSES),
    size=224,
    build=build,
    prepare=unit_colour,
    pools=POOLS,
    epochs=25,
    batch=8,
    rate=1e-3,
    augmentation=Augmentation(turn_degrees=15.0),
    backbone="VGG16",
)
