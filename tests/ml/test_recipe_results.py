"""The figures that are kept with the recipes say what they are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ml import recipes
from ml.bench.tables import recipes_table

RESULTS = Path(recipes.__file__).parent / "results.json"


def test_kept_figures_are_of_real_pictures_and_say_how_far_training_went() -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert kept["tiny"] is False
    seen = 0
    for name in recipes.NAMES:
        row, recipe = kept["recipes"][name], recipes.get_recipe(name)
        assert row["claims"] == [asdict(claim) for claim in recipe.claims]
        for cell in (row.get("own"), row.get("honest")):
            if cell is None:
                continue
            seen += 1
            assert cell["tiny"] is False
            assert cell["recipe"] == name
            assert 0 < cell["epochs_reached"] <= cell["epochs_asked"] == recipe.epochs
            if cell["stopped"] == "minutes":
                assert cell["minutes_cap"] is not None
                assert cell["seconds"] >= cell["minutes_cap"] * 60
            if recipe.backbone:
                assert "from scratch" in cell["backbone_weights"]
    assert seen >= 6
    table = recipes_table(kept)
    assert all(name in table for name in recipes.NAMES)
