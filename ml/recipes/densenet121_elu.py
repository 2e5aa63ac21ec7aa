"""``densenet121_elu``: frozen DenseNet121 with an ELU head and one sigmoid.

GAP, dropout .25, D128 ELU, dropout .5, D64 ELU, dropout .5, sigmoid; Adam 1e-4. Without ImageNet
weights nothing is frozen and all is learnt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.recipes.mobilenet_dense import CLAIM
from ml.recipes.pictures import imagenet_colour
from ml.recipes.protocol import Plan, Pool, Recipe

if TYPE_CHECKING:
    import keras


def build(plan: Plan) -> keras.Model:
    """DenseNet121 with two ELU layers; its first dense block when only the code is tested."""
    import keras

    shape = (plan.size, plan.size, 3)
    base = keras.applications.DenseNet121(
        weights=plan.weights, include_top=False, input_shape=shape
    )
    if plan.tiny:
        base = keras.Model(base.input, base.get_layer("pool2_pool").output)
    base.trainable = plan.weights is None
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    x = keras.layers.Dropout(0.25)(x)
    for units in (128, 64):
        x = keras.layers.Dense(units, activation="elu")(x)
        x = keras.layers.Dropout(0.5)(x)
    outputs = keras.layers.Dense(plan.outputs, activation="sigmoid", dtype="float32")(x)
    return keras.Model(base.input, outputs, name="densenet121_elu")


RECIPE = Recipe(
    name="densenet121_elu",
    summary="DenseNet121, GAP, D.25, D128 ELU, D.5, D64 ELU, D.5, sigmoid",
    claims=(CLAIM,),
    chosen=(
        "COVID-19 against normal, size 224, batch 16, at most 20 epochs, 500 + 125 pictures a "
        "class of the Radiography Database, as mobilenet_dense."
    ),
    classes=("normal", "covid"),
    outputs=1,
    size=224,
    build=build,
    prepare=imagenet_colour,
    pools=(
        Pool("normal", ("radiography",), train=500, test=125),
        Pool("covid", ("radiography",), train=500, test=125),
    ),
    epochs=20,
    batch=16,
    rate=1e-4,
    backbone="DenseNet121",
)
