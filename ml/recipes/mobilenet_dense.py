"""``mobilenet_dense``: frozen MobileNet, GAP, D1024, D1024, D512, softmax; 5,853,890 parameters.

RMSprop 1e-3, batch 16, patience 3. Without ImageNet weights nothing is frozen and all is learnt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.recipes.pictures import signed_colour
from ml.recipes.protocol import Claim, Plan, Pool, Recipe

if TYPE_CHECKING:
    import keras

CLAIM = Claim("auc", 0.90, "AUC 97 % train, 90 % validation")
"""One claim for this recipe and ``densenet121_elu``; its train figure is no evidence."""


def build(plan: Plan) -> keras.Model:
    """MobileNet with three dense layers."""
    import keras

    base = keras.applications.MobileNet(
        weights=plan.weights,
        include_top=False,
        input_shape=(plan.size, plan.size, 3),
        alpha=0.25 if plan.tiny else 1.0,
    )
    base.trainable = plan.weights is None
    x = keras.layers.GlobalAveragePooling2D()(base.output)
    for units in (1024, 1024, 512):
        x = keras.layers.Dense(units, activation="relu")(x)
    outputs = keras.layers.Dense(plan.outputs, activation="softmax", dtype="float32")(x)
    return keras.Model(base.input, outputs, name="mobilenet_dense")


RECIPE = Recipe(
    name="mobilenet_dense",
    summary="MobileNet, GAP, D1024, D1024, D512, softmax",
    claims=(CLAIM,),
    chosen=(
        "COVID-19 against normal (the parameter count fits two outputs), size 224, at most 20 "
        "epochs, 500 + 125 pictures a class of the Radiography Database."
    ),
    classes=("normal", "covid"),
    outputs=2,
    size=224,
    build=build,
    prepare=signed_colour,
    pools=(
        Pool("normal", ("radiography",), train=500, test=125),
        Pool("covid", ("radiography",), train=500, test=125),
    ),
    epochs=20,
    batch=16,
    rate=1e-3,
    optimizer="rmsprop",
    patience=3,
    backbone="MobileNet",
    parameters=5_853_890,
)
