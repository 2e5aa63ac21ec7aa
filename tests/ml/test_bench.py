"""The benches: resumable, honest about what they reached, and right on problems with an answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.bench import baselines, boosting, cells, sources, tables
from ml.bench import recipes as recipe_bench
from ml.bench.folds import refuse_known_groups, set_aside
from ml.bench.phantoms import draw_bench_set
from ml.cli import main
from ml.data import Row, read_manifest
from ml.imaging import DecodedImage
from ml.preprocess import resize_square
from ml.recipes.rows import read_source
from ml.train import TrainingError


def test_a_finished_cell_is_not_computed_again(tmp_path: Path) -> None:
    store = cells.Cells(tmp_path)
    calls: list[int] = []

    def compute(stopped: str) -> cells.Cell:
        calls.append(1)
        return {"stopped": stopped, "n": len(calls)}

    asked = {"seed": 1, "minutes": 2.0}
    assert store.get("a", asked, lambda: compute("minutes"))["n"] == 1
    assert store.get("a", asked, lambda: compute("minutes"))["n"] == 1
    # a cut one is done again for more time, a whole one is not
    assert store.get("a", {**asked, "minutes": 3.0}, lambda: compute("epochs"))["n"] == 2
    assert store.get("a", {**asked, "minutes": 9.0}, lambda: compute("epochs"))["n"] == 2
    assert store.get("a", {**asked, "seed": 2}, lambda: compute("epochs"))["n"] == 3
    store.path("a").write_text('{"half')
    assert store.get("a", {**asked, "seed": 2}, lambda: compute("epochs"))["n"] == 4


def test_bench_recipes_side_by_side_and_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table.json"
    ask = ["bench", "recipes", "--tiny", "--json", str(out), "--only", "cnn_binary_96"]
    folds = ["--only", "darkcovidnet", "--fold", "1", "--task", "three_classes"]
    assert main([*ask, *folds]) == 0
    said = capsys.readouterr().out
    assert "accuracy 96 %" in said
    assert "site_a" in said
    result = json.loads(out.read_text())
    row = result["recipes"]["cnn_binary_96"]
    for protocol in ("own", "honest"):
        assert row[protocol]["protocol"] == protocol
        assert set(row[protocol]["figures"]["per_source"]) == {"site_a", "site_b"}
        assert row[protocol]["epochs_reached"] == 1
    assert row["own"]["watched"] == row["own"]["test"]
    assert row["honest"]["watched"] != row["honest"]["learning"]
    dark = result["recipes"]["darkcovidnet"]["three_classes"]
    assert (dark["folds_done"], list(dark["cells"])) == (1, ["1"])
    assert dark["own"]["accuracy"] >= dark["honest"]["accuracy"]
    assert dark["test_split"]["per_source"]
    assert result["recipes"]["conv2_vgg16"]["own"] is None

    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "table-cells" / "cells").iterdir()}
    assert main(ask) == 0
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "table-cells" / "cells").iterdir()}
    assert before == after
    # what was not asked for this time is still in the table
    again = json.loads(out.read_text())["recipes"]
    assert again["cnn_binary_96"]["own"] == row["own"]


def test_our_network_beside_darkcovidnet(tmp_path: Path) -> None:
    options = recipe_bench.Options(
        tiny=True, only=("thorascreen",), folds=(0,), tasks=("covid_normal",)
    )
    quiet: list[str] = []
    result = recipe_bench.bench_recipes(
        tmp_path / "unused.csv", tmp_path / "a.json", tmp_path / "out", options, quiet.append
    )
    ours = result["recipes"]["thorascreen"]
    assert (ours["three_classes"]["folds_done"], ours["covid_normal"]["folds_done"]) == (0, 1)
    cell = ours["covid_normal"]["cells"]["0"]
    assert cell["figures"]["per_class"]["pneumonia"]["n"] == 0
    assert (cell["epochs_reached"], cell["stopped"]) == (2, "epochs")
    assert "thorascreen, 3 classes" in tables.recipes_table(result)


@pytest.mark.timeout(400)
def test_our_network_starts_from_weights_that_know_no_fold(tmp_path: Path) -> None:
    start = tmp_path / "elsewhere" / "run"
    assert main(["train", "--smoke", "--half", "--out", str(start)]) == 0
    assert json.loads((start / "config.json").read_text())["config"]["half"] is True
    manifest = start.parent / "manifest.csv"
    known = (start / "phantoms" / "manifest.csv").read_text()
    manifest.write_text(known.replace(",phantom,g", ",phantom,elsewhere-"))
    ask = ["bench", "recipes", "--tiny", "--json", str(tmp_path / "r.json"), "--fold", "0"]
    started = [*ask, "--task", "three_classes", "--only", "thorascreen_started"]
    assert main(started) == 1  # nothing to start from was named
    assert main([*started, "--start-from", str(start)]) == 0
    row = json.loads((tmp_path / "r.json").read_text())["recipes"]["thorascreen_started"]
    assert row["three_classes"]["folds_done"] == 1
    assert set(row["three_classes"]["honest"]["recall"]) == {"covid", "pneumonia", "normal"}

    # one picture of a fold among those it was trained on, and it is refused
    source = read_source(tmp_path / "r-cells" / "phantoms" / "manifest.csv")
    leak = next(row for row in source.rows if source.folds.get(row.name) == 1)
    with manifest.open("a") as stream:
        stream.write(f"{leak.path},{leak.label},phantom,{leak.group},train\n")
    with pytest.raises(TrainingError, match="1 pictures"):
        refuse_known_groups(start, source)


def test_an_unknown_name_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["--tiny", "--json", str(tmp_path / "a.json"), "--only", "nobody"]
    assert main(["bench", "recipes", *ask]) == 1
    assert main(["bench", "sources", *ask]) == 1
    assert capsys.readouterr().err.count("'nobody'") == 2


def test_groups_set_aside_stay_whole() -> None:
    rows = [
        Row(Path(f"{n}.png"), label, group=f"{label}{n // 3}", name=f"{label}{n}")
        for label in ("covid", "normal")
        for n in range(60)
    ]
    learning, watched = set_aside(rows, 1)
    assert not {row.group for row in learning} & {row.group for row in watched}
    assert len(learning) + len(watched) == 120
    assert {row.label for row in watched} == {"covid", "normal"}
    assert len(watched) == 12


def test_trees_learn_what_no_line_divides() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1500, 4))
    y = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype(np.int64)
    model = boosting.BoostedTrees(2, seed=1, rounds=40).fit(
        x[:900], y[:900], x[900:1200], y[900:1200]
    )
    chances = model.predict(x[1200:])
    assert np.allclose(chances.sum(axis=1), 1.0)
    assert np.mean(chances.argmax(axis=1) == y[1200:]) > 0.9
    again = boosting.BoostedTrees(2, seed=1, rounds=40).fit(
        x[:900], y[:900], x[900:1200], y[900:1200]
    )
    assert np.array_equal(again.predict(x[1200:]), chances)


def test_logistic_learns_what_a_line_divides() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(600, 5))
    y = x[:, :3].argmax(axis=1)
    model = baselines.Logistic(1e-4).fit(x[:400], y[:400])
    assert np.mean(model.predict(x[400:]).argmax(axis=1) == y[400:]) > 0.93


def test_each_view_shows_what_it_says_and_no_more() -> None:
    squares = np.zeros((1, 128, 128), dtype=np.uint8)
    squares[:, 12:-12, 12:-12] = 255
    seen, kept = baselines.border(squares)
    assert (seen.shape, seen.max(), kept.all()) == ((1, 348), 0.0, True)
    seen, _ = baselines.thumbnail(squares)
    assert (seen.shape, seen.max()) == ((1, 256), 1.0)


def test_painted_lungs_are_gone(phantoms: list[DecodedImage]) -> None:
    squares = np.stack(
        [(resize_square(image.pixels, 128) * 255).astype(np.uint8) for image in phantoms]
    )
    seen, kept = baselines.lungs_masked(squares)
    plain, _ = baselines.thumbnail(squares)
    assert kept.any()
    change = np.abs(seen - plain).reshape(-1, 16, 16)[kept]
    assert change[:, :, [0, -1]].max() < 0.05
    assert change[:, 6:10, [4, 11]].mean() > 0.05


def test_bench_baselines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "b.json"
    assert main(["bench", "baselines", "--tiny", "--json", str(out)]) == 0
    assert "border_only" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert set(result["baselines"]) == {"thumbnail_16", "border_only", "lungs_masked"}
    for view in ("thumbnail_16", "border_only"):
        row = result["baselines"][view]
        for model in ("logistic", "boosted_trees"):
            assert row[model]["test"]["n"] == 12
            assert set(row[model]["test"]["per_source"]) == {"site_a", "site_b"}


def test_bench_sources_leaves_out_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "s.json"
    ask = ["bench", "sources", "--tiny", "--json", str(out), "--only", "site_a"]
    assert main(ask) == 0
    assert "site_a" in capsys.readouterr().out
    (cell,) = json.loads(out.read_text())["left_out"].values()
    assert all(name.startswith("site_b/") for name in (*cell["learning"], *cell["selection"]))
    assert all(name.startswith("site_a/") for name in cell["test"])
    assert cell["figures"]["pairs"]["covid_normal"]["auc"] is not None
    assert cell["stopped"] == "epochs"


def test_what_belongs_to_the_left_out_source_stays_out_of_training(tmp_path: Path) -> None:
    rows = read_manifest(draw_bench_set(tmp_path))
    first = next(row for row in rows if row.source == "site_a")
    rows = [
        replace(row, group=first.group, dup_of=first.name) if row.source == "site_b" else row
        for row in rows
    ]
    learning, selection, test = sources.divide_by_source(rows, ("site_a",))
    assert (learning, selection) == ([], [])
    assert {row.source for row in test} == {"site_a"}
    # two copies of one radiograph, both left out, are tested on once
    _, _, both = sources.divide_by_source(rows, ("site_a", "site_b"))
    assert both == test


def test_every_source_of_the_real_data_and_the_unseen_pair(real_manifest: Path) -> None:
    rows = read_manifest(real_manifest)
    wanted = sources.wanted_sources(rows, ())
    assert wanted[-1] == ("ieee8023", "darkcovidnet")
    assert len(wanted) == 5
    for left_out in wanted:
        learning, selection, test = sources.divide_by_source(rows, left_out)
        inside = {row.group for row in (*learning, *selection)}
        assert not inside & {row.group for row in test}
        assert "val" in {row.split for row in selection}
