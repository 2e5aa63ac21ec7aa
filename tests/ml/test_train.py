"""Training from end to end, small: a run, its resumption, a release, and an answer from it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ml import package
from ml.cli import main
from ml.data import read_manifest
from ml.imaging import decode
from ml.package import load_package
from ml.predict import Predictor
from ml.release import release
from ml.train import Config, TrainingError, load_averaged, run_training, smoke_config
from ml.trust import TRUST_FILE


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("training") / "run"
    assert main(["train", "--smoke", "--out", str(out), "--seed", "3"]) == 0
    return out


def test_a_smoke_run_leaves_weights_and_a_history(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1]
    assert [line["size"] for line in lines] == [32, 64]
    assert all(np.isfinite(line["loss"]) for line in lines)
    description = json.loads((run / "config.json").read_text())
    assert description["config"]["seed"] == 3
    assert sum(description["training"].values()) == 18


def test_a_run_is_not_overwritten_and_not_changed(run: Path) -> None:
    manifest = run / "phantoms" / "manifest.csv"
    with pytest.raises(TrainingError, match="already holds a run"):
        run_training(manifest, run, smoke_config(3))
    with pytest.raises(TrainingError, match="other settings"):
        run_training(manifest, run, smoke_config(4), resume=True)


def test_a_resumed_run_ends_like_an_unbroken_one(run: Path, tmp_path: Path) -> None:
    manifest = run / "phantoms" / "manifest.csv"
    quiet: list[str] = []
    run_training(manifest, tmp_path / "r", smoke_config(3), minutes=0.0, report=quiet.append)
    assert len((tmp_path / "r" / "history.jsonl").read_text().splitlines()) == 1
    run_training(manifest, tmp_path / "r", smoke_config(3), resume=True, report=quiet.append)
    whole, broken = (np.load(path / "checkpoint.npz") for path in (run, tmp_path / "r"))
    assert int(broken["epoch"]) == 2
    assert int(broken["step"]) == int(whole["step"])
    # threads may add in another order, so weights agree closely but not to the bit
    for name in whole.files:
        assert np.allclose(whole[name], broken[name], rtol=0.05, atol=0.02), name


def test_nothing_to_learn_from_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label,split\na.png,covid,test\n")
    with pytest.raises(TrainingError, match="needs rows"):
        run_training(tmp_path / "a.csv", tmp_path / "out", smoke_config())
    description = {"config": {"stages": [[8, 1]], "size": 64}}
    (tmp_path / "config.json").write_text(json.dumps(description))
    with pytest.raises(TrainingError, match="full size"):
        load_averaged(tmp_path)


def test_a_release_of_a_run_is_a_whole_package(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny-0.0.1"
    manifest = run / "phantoms" / "manifest.csv"
    release(run, manifest, out, "tiny", "0.0.1", splits=("val",), report=lambda _: None)
    released = load_package(out)
    assert (released.name, released.version) == ("tiny", "0.0.1")
    assert released.size in (64, 80, 96)
    assert released.manifest["training"]["counts"] == {
        "phantom/covid": 6,
        "phantom/normal": 6,
        "phantom/pneumonia": 6,
    }
    assert released.manifest["metrics"]["val"]["n"] == 6
    assert (out / TRUST_FILE).exists()
    fast, slow = Predictor.load(out), Predictor.load(out, runtime="keras")
    for row in read_manifest(manifest)[:6]:
        image = decode(row.path.read_bytes())
        one, other = fast.predict(image), slow.predict(image)
        for label, value in one.probabilities.items():
            assert abs(value - other.probabilities[label]) < 1e-4
    with pytest.raises(FileExistsError):
        release(run, manifest, out, "tiny", "0.0.1", splits=(), report=lambda _: None)


def test_one_command_releases_measures_and_describes(run: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    shutil.copytree(run / "phantoms", pictures)
    manifest = pictures / "manifest.csv"
    with manifest.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    tested = []
    for row in rows:
        if row["split"] == "val":
            name = f"test-{row['path']}"
            shutil.copy(pictures / row["path"], pictures / name)
            tested.append({**row, "path": name, "split": "test"})
    with manifest.open("a", newline="") as stream:
        csv.DictWriter(stream, list(rows[0])).writerows(tested)
    out, card = tmp_path / "tiny-0.0.2", tmp_path / "docs" / "card.md"
    card.parent.mkdir()
    command = ["release", "--run", str(run), "--name", "tiny", "--version", "0.0.2", "--all"]
    command += ["--size", "64", "--manifest", str(manifest), "--out", str(out)]
    assert main([*command, "--card", str(card)]) == 0
    figures = json.loads((out / "evaluation-test.json").read_text())
    assert (figures["n"], figures["split"]) == (len(tested), "test")
    assert not (out / "pointing.json").exists(), "nobody outlined anything in the phantoms"
    assert "tiny 0.0.2" in card.read_text()
    assert main([*command, "--card", str(card)]) == 1, "a released version never changes"


def test_folding_changes_nothing(run: Path) -> None:
    from ml.network import fold_norms

    trained, _ = load_averaged(run)
    config = smoke_config()
    folded = fold_norms(trained, config.size, config.stages)
    assert not [layer for layer in folded.layers if layer.name.endswith("_norm")]
    pictures = np.random.default_rng(0).normal(size=(4, 64, 64, 1)).astype(np.float32)
    one = trained.predict(pictures, verbose=0)
    other = folded.predict(pictures, verbose=0)
    for name in ("logits", "cam", "features"):
        spread = np.abs(one[name]).max()
        # half precision keeps three digits and a bit
        assert np.abs(one[name] - other[name]).max() < 0.02 * spread


def test_the_schedule_grows_pictures_and_cools_down() -> None:
    config = Config(epochs=9, small_sizes=(96, 128), size=160)
    assert [config.size_at(epoch) for epoch in range(9)] == [96] * 3 + [128] * 3 + [160] * 3
    rates = [config.rate_at(step, 3000) for step in range(3000)]
    assert max(rates) <= config.peak_rate
    assert rates[0] < rates[150] < rates[299]
    assert rates[-1] < 1e-5


def test_an_active_package_is_checked_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml.release import activate

    monkeypatch.setattr(package, "ACTIVE", tmp_path / "active.json")
    with pytest.raises(package.PackageError):
        activate(tmp_path / "none")
    assert not (tmp_path / "active.json").exists()
