"""Networks pre-trained on ImageNet, where this machine has or can fetch their weights."""

from __future__ import annotations

import socket
from functools import cache
from typing import Literal

from ml.recipes.protocol import Recipe

PATIENCE_SECONDS = 20.0


def ask_for_weights(recipe: Recipe) -> Literal["imagenet"] | None:
    """What the recipe's backbone can start from: ``"imagenet"``, or None with a plain word why."""
    if recipe.backbone is None:
        return None
    reason = _try_to_load(recipe.backbone)
    if reason is None:
        return "imagenet"
    print(
        f"{recipe.name}: the ImageNet weights of {recipe.backbone} are not on this machine and "
        f"could not be fetched ({reason}). The whole network is trained from scratch instead."
    )
    return None


@cache
def _try_to_load(backbone: str) -> str | None:
    """Ask Keras once a process; returns what went wrong."""
    import keras

    earlier = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_SECONDS)
    try:
        getattr(keras.applications, backbone)(
            weights="imagenet", include_top=False, input_shape=(224, 224, 3)
        )
    except Exception as error:  # Keras raises a bare Exception when a download fails
        return type(error).__name__ if not str(error) else str(error).strip().splitlines()[-1]
    finally:
        socket.setdefaulttimeout(earlier)
    return None
