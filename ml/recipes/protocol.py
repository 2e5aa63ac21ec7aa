"""What a recipe is made of. Plain data; the networks are built by the function each one names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt

from ml.preprocess import FloatArray

if TYPE_CHECKING:
    import keras

TINY_SIZE: Final = 48
"""Side of the pictures in a run that only tests the code."""


class RecipeError(Exception):
    """A recipe that cannot be found, trained or used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure as its authors gave it."""

    figure: str
    value: float | None
    """Between 0 and 1; None where the claim is no number."""
    words: str


@dataclass(frozen=True, slots=True)
class Pool:
    """Where the pictures of one class come from, and how many of them."""

    label: str
    sources: tuple[str, ...]
    """In order of preference: the next one fills up what the earlier ones lack."""
    train: int
    test: int
    view: str = ""
    """Preferred projection; others of the same source fill up."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random changes of training pictures, in the terms of Keras's ``ImageDataGenerator``."""

    turn_degrees: float = 0.0
    shear_degrees: float = 0.0
    """Keras counts its ``shear_range`` in degrees, so the widespread 0.2 is next to nothing."""
    zoom: float = 0.0
    flip: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a network is built for."""

    size: int
    outputs: int
    """1 for a sigmoid, the number of classes for a softmax."""
    weights: Literal["imagenet"] | None = None
    tiny: bool = False
    """Narrow backbones, to test the code."""


Prepare = Callable[[npt.NDArray[np.uint8]], FloatArray]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One system: what was published of it, and what was chosen where nothing was."""

    name: str
    summary: str
    claims: tuple[Claim, ...]
    chosen: str
    """What was never stated, and what stands here in its place."""
    classes: tuple[str, ...]
    """In the order of the outputs; a sigmoid speaks for the second of two."""
    outputs: int
    size: int
    build: Callable[[Plan], keras.Model]
    prepare: Prepare
    pools: tuple[Pool, ...]
    epochs: int
    batch: int
    rate: float
    optimizer: Literal["adam", "rmsprop"] = "adam"
    patience: int | None = None
    """Stop after so many epochs without a smaller loss on the watched pictures."""
    one_cycle: bool = False
    augmentation: Augmentation = Augmentation()
    backbone: Literal["VGG16", "MobileNet", "DenseNet121"] | None = None
    parameters: int | None = None
    """As published; building another number is an error."""
    formats: tuple[Literal["hdf5", "json+hdf5"], ...] = ()
    """How the original was saved, beside this project's own file."""
    folds: bool = False
    """Trained and scored on the given folds of the bench pictures."""
