"""The figures that are kept with the recipes say what they are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ml import recipes
from ml.bench.tables import recipes_table

RESULTS = Path(recipes.__file__).parent / "results.json"
README = RESULTS.parent.parent.parent / "README.md"


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


def test_the_figures_on_the_front_page_are_the_kept_ones() -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["recipes"]
    table = README.read_text(encoding="utf-8").split("| recipe | claimed |")[1].split("\n\n")[0]
    lines = [[part.strip() for part in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert len(lines) == 4
    for name, claimed, own, honest in lines:
        row = kept[name.split("`")[1]]
        if "three classes" in name:
            found = [row["three_classes"][one]["accuracy"] for one in ("own", "honest")]
        else:
            found = [row[one]["figures"]["accuracy"] for one in ("own", "honest")]
        assert [f"{value:.3f}" for value in found] == [own, honest], name
        assert any(claimed in claim["words"] for claim in row["claims"]), name
