"""The systems this project came from, each one file, each trainable and measurable as it was told.

A recipe holds what was published about a system: network, training, pictures, claimed figure. What
was never stated is chosen here and said in ``Recipe.chosen``. Two protocols are run side by side
and differ on purpose: the recipe's *own* one (pictures split one by one, and the set that picks
the best epoch is the set that is reported) and an *honest* one (split by patient group, a
validation set to pick the epoch, a separate test set looked at once).
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from ml.recipes.protocol import Recipe, RecipeError

NAMES: Final = (
    "cnn4_denoise",
    "conv2_cli",
    "conv2_vgg16",
    "cnn_binary_96",
    "cnn_binary_98",
    "mobilenet_dense",
    "densenet121_elu",
    "darkcovidnet",
)


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    :raises RecipeError: when there is none.
    """
    if name not in NAMES:
        raise RecipeError(f"There is no recipe {name!r}; there are {', '.join(NAMES)}.")
    recipe: Recipe = import_module(f"ml.recipes.{name}").RECIPE
    return recipe


def all_recipes() -> list[Recipe]:
    """Every recipe, in the order in which it is listed."""
    return [get_recipe(name) for name in NAMES]
