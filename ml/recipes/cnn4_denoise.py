"""``cnn4_denoise``: smooth away Gaussian noise, then four convolutions, COVID-19 against normal.

A student project known by its description alone: Gaussian-noise removal, four pairs of
convolution + ReLU and max pooling, flatten, dense, saved as HDF5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from ml.preprocess import FloatArray
from ml.recipes.pictures import Squares, unit_grey
from ml.recipes.protocol import Claim, Plan, Pool, Recipe

if TYPE_CHECKING:
    import keras

FILTERS = (32, 64, 128, 128)
BLUR_RADIUS = 1.0


def denoise(squares: Squares) -> FloatArray:
    """Gaussian smoothing, then [0, 1]; (n, s, s) bytes to (n, s, s, 1)."""
    smooth = ImageFilter.GaussianBlur(BLUR_RADIUS)
    return unit_grey(
        np.stack([np.asarray(Image.fromarray(square).filter(smooth)) for square in squares])
    )


def build(plan: Plan) -> keras.Model:
    """Four pairs of convolution and pooling, one sigmoid."""
    import keras

    layers = [keras.Input((plan.size, plan.size, 1))]
    for filters in FILTERS:
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D())
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(plan.outputs, activation="sigmoid", dtype="float32"),
    ]
    return keras.Sequential(layers, name="cnn4_denoise")


RECIPE = Recipe(
    name="cnn4_denoise",
    summary="Gaussian-noise removal, four Conv+ReLU / MaxPool pairs, flatten, dense",
    claims=(
        Claim("accuracy", 0.93, "accuracy 93 %"),
        Claim("accuracy", None, "more than 95 % for a second model"),
    ),
    chosen=(
        "Size 128, filters 32-64-128-128 of 3x3, Gaussian smoothing of radius 1, Adam 1e-3, batch "
        "32, 20 epochs, 800 + 200 pictures a class of the Radiography Database."
    ),
    classes=("normal", "covid"),
    outputs=1,
    size=128,
    build=build,
    prepare=denoise,
    pools=(
        Pool("normal", ("radiography",), train=800, test=200),
        Pool("covid", ("radiography",), train=800, test=200),
    ),
    epochs=20,
    batch=32,
    rate=1e-3,
    formats=("hdf5",),
)
