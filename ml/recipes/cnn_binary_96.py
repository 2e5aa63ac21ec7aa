"""``cnn_binary_96``: the widespread COVID-19 against normal network of 5,668,097 parameters.

C32 3x3, C64, MP, D.25, C64, MP, D.25, C128, MP, D.25, flatten, dense 64, D.5, sigmoid, on 180 PA
films of COVID-19 and 180 normals, 144 to learn from and 36 to report a class. Saved as JSON and
HDF5 weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.recipes.pictures import unit_colour
from ml.recipes.protocol import Augmentation, Claim, Plan, Pool, Recipe

if TYPE_CHECKING:
    import keras

PARAMETERS = 5_668_097


def build(plan: Plan) -> keras.Model:
    """The network, with the third dropout at a quarter."""
    return build_with_dropout(plan, 0.25)


def build_with_dropout(plan: Plan, third: float) -> keras.Model:
    """The network; ``cnn_binary_98`` differs in the rate of the third dropout alone."""
    import keras

    return keras.Sequential(
        [
            keras.Input((plan.size, plan.size, 3)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.25),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.25),
            keras.layers.Conv2D(128, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(third),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(plan.outputs, activation="sigmoid", dtype="float32"),
        ],
        name="cnn_binary",
    )


RECIPE = Recipe(
    name="cnn_binary_96",
    summary="four convolutions at 224x224x3, dense 64, sigmoid; 180 + 180 pictures",
    claims=(
        Claim("accuracy", 0.96, "accuracy 96 %"),
        Claim("precision", 0.97, "precision 97 %"),
        Claim("recall", 0.94, "recall 94 %"),
        Claim("f1", 0.96, "F1 96"),
    ),
    chosen=(
        "Normals of kermany, as in the project's tutorial. This data set holds 141 PA films of "
        "COVID-19 in the ieee8023 collection; AP films fill up to 180."
    ),
    classes=("normal", "covid"),
    outputs=1,
    size=224,
    build=build,
    prepare=unit_colour,
    pools=(
        Pool("normal", ("kermany",), train=144, test=36),
        Pool("covid", ("ieee8023",), train=144, test=36, view="PA"),
    ),
    epochs=20,
    batch=32,
    rate=1e-3,
    augmentation=Augmentation(shear_degrees=0.2, zoom=0.2, flip=True),
    parameters=PARAMETERS,
    formats=("json+hdf5",),
)
