"""The head: the best there is, chosen on rows it did not learn from, and a package like any."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ml import head, package
from ml.cli import main
from ml.data import Row
from ml.head import HeadConfig, choose_head, fit_head, weigh
from ml.predict import Predictor
from ml.release import release
from ml.train import TrainingError, draw_smoke_set
from tests.ml.test_lite import released_backbone


def two_clouds(seed: int, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    means = rng.normal(size=(n, 6)) * [1, 10, 0.1, 1, 1, 1] + 5
    means[:, 1] += 40 * (labels == 1)
    means[:, 2] += 0.4 * (labels == 2)
    return means[:, np.newaxis], labels


def test_no_step_from_the_fitted_head_leads_downhill() -> None:
    means, labels = two_clouds(1)
    shares = np.random.default_rng(2).uniform(0.5, 1.5, len(means))
    shares /= shares.mean()
    ridge = 0.02
    fitted = fit_head(means, labels, shares, ridge, steps=400)
    wrong = (fitted.probabilities(means) - np.eye(3)[labels]) * shares[:, np.newaxis]
    flat = means[:, 0]
    spread = flat.std(axis=0) + 1e-6
    scaled = (flat - flat.mean(axis=0)) / spread
    slope = scaled.T @ wrong / len(means) + ridge * fitted.kernel * spread[:, np.newaxis]
    assert np.abs(slope).max() < 2 * head.FLAT
    assert np.abs(wrong.mean(axis=0)).max() < 2 * head.FLAT, "the bias is free"
    assert (fitted.probabilities(means).argmax(axis=1) == labels).mean() > 0.7


def test_a_stronger_ridge_says_less() -> None:
    means, labels = two_clouds(3)
    shares = np.ones(len(means))
    weak, strong = (fit_head(means, labels, shares, ridge) for ridge in (0.001, 10.0))
    assert np.abs(strong.kernel).sum() < 0.1 * np.abs(weak.kernel).sum()


def test_every_look_is_learnt_from_and_the_answer_is_their_mean() -> None:
    means, labels = two_clouds(4)
    twice = np.concatenate([means, means + 0.1], axis=1)
    shares = np.ones(len(means))
    fitted = fit_head(twice, labels, shares, 0.02)
    apart = np.concatenate([twice[:, :1], twice[:, 1:]])
    same = fit_head(apart, np.tile(labels, 2), np.ones(2 * len(means)), 0.02)
    np.testing.assert_allclose(fitted.kernel, same.kernel, atol=1e-4)
    each = [fitted.logits(twice[:, look : look + 1]) for look in (0, 1)]
    np.testing.assert_allclose(fitted.logits(twice), np.mean(each, axis=0))


def test_what_a_head_is_held_back_from_counts_less() -> None:
    means, labels = two_clouds(6)
    shares = np.ones(len(means))
    free = fit_head(means, labels, shares, 0.02)
    unwanted = np.zeros(means.shape[2])
    unwanted[1] = 40.0  # the one place that tells the second class
    held = fit_head(means, labels, shares, 0.02, held=np.outer(unwanted, unwanted))
    assert np.abs(unwanted @ held.kernel).max() < 0.05 * np.abs(unwanted @ free.kernel).max()
    assert np.abs(held.kernel[2]).max() > 0.5 * np.abs(free.kernel[2]).max(), "others stay free"


def test_a_held_head_is_the_best_there_is() -> None:
    means, labels = two_clouds(8)
    shares, ridge = np.ones(len(means)), 0.02
    unwanted = np.array([0.3, 12.0, 0.0, 0.0, 0.1, 0.0])
    held = np.outer(unwanted, unwanted)
    fitted = fit_head(means, labels, shares, ridge, held=held)
    wrong = (fitted.probabilities(means) - np.eye(3)[labels]) / len(means)
    flat = means[:, 0]
    spread = flat.std(axis=0) + 1e-6
    slope = (flat - flat.mean(axis=0)).T @ wrong + held @ fitted.kernel
    slope = slope / spread[:, np.newaxis] + ridge * fitted.kernel * spread[:, np.newaxis]
    assert np.abs(slope).max() < 2 * head.FLAT


def test_the_ridge_is_chosen_on_rows_that_were_not_learnt_from() -> None:
    rng = np.random.default_rng(5)
    rows = [Row(Path(f"{n}.png"), ("covid", "pneumonia", "normal")[n % 3]) for n in range(60)]
    noise = rng.normal(size=(60, 1, 200))  # nothing to learn, everything to learn by heart
    config = HeadConfig(ridges=(0.001, 10.0))
    chosen = choose_head(noise[:40], rows[:40], noise[40:], rows[40:], config)
    assert chosen.ridge == 10.0
    assert chosen.losses[10.0] < chosen.losses[0.001]


def test_small_cells_weigh_more_than_their_number() -> None:
    rows = [Row(Path("a"), "covid", "one")] + [Row(Path("b"), "covid", "two")] * 100
    shares = weigh(rows, 0.5)
    assert shares.mean() == pytest.approx(1.0)
    assert shares[0] == pytest.approx(10 * shares[1])
    assert weigh(rows, 1.0).tolist() == [1.0] * 101


def test_from_pictures_to_a_package_that_answers(tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "tiny-0.0.3"
    backbone = str(released_backbone())
    asked = ["train", "--backbone", backbone, "--out", str(run)]
    assert main([*asked, "--smoke"]) == 0
    assert main([*asked, "--smoke"]) == 1, "a finished run is not written over"
    told = json.loads((run / "config.json").read_text())
    assert told["ridge"] in told["config"]["ridges"]
    manifest = run / "phantoms" / "manifest.csv"
    release(run, manifest, out, "tiny", "0.0.3", splits=("val",), report=lambda _: None)
    written = package.load_package(out)
    assert written.manifest["training"]["ridge"] == told["ridge"]
    assert written.manifest["input"]["size"] == 64
    picture = next(manifest.parent.glob("*.png")).read_bytes()
    fast, reference = (Predictor.load(out, name) for name in ("litert", "keras"))
    one, other = fast.predict_bytes(picture), reference.predict_bytes(picture)
    for label, chance in one.probabilities.items():
        assert chance == pytest.approx(other.probabilities[label], abs=1e-3)


def test_a_run_says_what_it_lacks(tmp_path: Path) -> None:
    manifest = draw_smoke_set(tmp_path / "phantoms")
    text = manifest.read_text().replace(",val", ",test")
    manifest.write_text(text)
    with pytest.raises(TrainingError, match="needs rows"):
        head.run_head(manifest, released_backbone(), tmp_path / "run", HeadConfig())
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"kind": "head", "config": {"size": 64}}')
    assert head.is_head(broken)
    with pytest.raises(TrainingError, match="holds no head"):
        head.load_run(broken)


def test_unseen_sources_and_folds_with_heads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = ["--tiny", "--backbone", str(released_backbone())]
    out = tmp_path / "sources.json"
    assert main(["bench", "sources", *backbone, "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert len(found["left_out"]) >= 2
    for name, cell in found["left_out"].items():
        assert not any(key.startswith(f"{name}/") for key in cell["learning"]), name
        assert all(key.startswith(tuple(name.split("+"))) for key in cell["test"]), name
        assert cell["figures"]["n"] == sum(cell["test"].values())
        assert cell["asked"]["backbone"] == found["backbone"]
    table = tmp_path / "recipes.json"
    asked = ["bench", "recipes", *backbone, "--json", str(table)]
    assert main([*asked, "--only", "thorascreen_head", "--only", "thorascreen_whole"]) == 0
    for name, view in (("thorascreen_head", "lungs"), ("thorascreen_whole", "whole")):
        row = json.loads(table.read_text())["recipes"][name]
        for task in ("three_classes", "covid_normal"):
            assert row[task]["folds_done"] == row[task]["folds"] >= 2
            for cell in row[task]["cells"].values():
                assert cell["epochs_reached"] == 1
                assert (cell["recipe"], cell["view"]) == (name, view)
    assert "thorascreen_whole" in capsys.readouterr().out
