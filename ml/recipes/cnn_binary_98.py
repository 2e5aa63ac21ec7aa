"""``cnn_binary_98``: ``cnn_binary_96`` with the third dropout at a half, and 196 + 196 pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ml.recipes import cnn_binary_96
from ml.recipes.protocol import Claim, Plan, Pool

if TYPE_CHECKING:
    import keras


def build(plan: Plan) -> keras.Model:
    """The network, with the third dropout at a half."""
    return cnn_binary_96.build_with_dropout(plan, 0.5)


RECIPE = replace(
    cnn_binary_96.RECIPE,
    name="cnn_binary_98",
    summary="cnn_binary_96 with the third dropout .5; 196 + 196 pictures",
    claims=(Claim("accuracy", 0.9846, "accuracy 98.46 %, hoping for 99.5 %"),),
    chosen=(
        "Normals of kermany, as in the project's tutorial. This data set holds 141 PA films of "
        "COVID-19 in the ieee8023 collection; AP films fill up to 196."
    ),
    build=build,
    pools=(
        Pool("normal", ("kermany",), train=147, test=49),
        Pool("covid", ("ieee8023",), train=147, test=49, view="PA"),
    ),
)
