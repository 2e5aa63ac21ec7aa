"""Evaluation of any manifest, from the package alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from PIL import ImageOps

from ml import CLASSES
from ml.cli import main
from ml.data import ManifestError
from ml.evaluate import WORTH_A_POOL, evaluate_manifest, format_report
from ml.imaging import decode
from ml.predict import Predictor

FIGURES = ("auc", "sensitivity", "specificity", "f1")


def check_shape(part: dict[str, Any]) -> None:
    for name in ("accuracy", "macro_f1", "ece"):
        assert name in part
        assert f"{name}_ci" in part
    assert part["classes"] == list(CLASSES)
    assert np.array(part["confusion"]).shape == (3, 3)
    assert sum(map(sum, part["confusion"])) == part["n"]
    assert tuple(part["per_class"]) == CLASSES
    for figures in part["per_class"].values():
        for name in FIGURES:
            assert (figures[name] is None) == (figures[f"{name}_ci"] is None)
    assert tuple(part["roc"]) == CLASSES
    assert sum(one["n"] for one in part["reliability"]) == part["n"]
    assert set(part["pairs"]) == {"covid_normal", "covid_pneumonia", "pneumonia_normal"}
    for figures in part["pairs"].values():
        assert {"auc", "auc_ci"} <= set(figures)


def test_every_row_is_scored_skipped_or_an_error(phantom_set: Callable[..., Path]) -> None:
    manifest = phantom_set(
        each=4,
        extra="gone.png,covid,site0,g90,test\nbroken.png,normal,site0,g91,test\n"
        "0.png,other,site0,g0,test\n".replace("0.png", "other.png"),
    )
    (manifest.parent / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    result = evaluate_manifest(manifest, workers=1, resamples=50)
    assert result["n"] == 12
    assert result["skipped"] == {"n": 1, "labels": {"other": 1}}
    assert result["errors"]["n"] == 2
    assert result["errors"]["codes"] == {"unreadable_file": 1, "corrupt_image": 1}
    assert set(result["errors"]["paths"]) == {"gone.png", "broken.png"}
    check_shape(result)
    assert set(result["per_source"]) == {"site0", "site1"}
    for part in result["per_source"].values():
        check_shape(part)
    assert sum(part["n"] for part in result["per_source"].values()) == 12
    assert result["quality_refused"]["n"] == 0
    assert "gone.png" in format_report(result)


def test_the_gate_is_the_one_that_serves(phantom_set: Callable[..., Path]) -> None:
    """A negative passes ``ml.quality``; the portal would not judge it, and neither is it here."""
    manifest = phantom_set(each=2)
    negative = manifest.parent / "0.png"
    ImageOps.invert(Picture.open(negative).convert("L")).save(negative)
    refused = evaluate_manifest(manifest, workers=1, resamples=20)["quality_refused"]
    assert refused["paths"] == ["0.png"]
    assert list(refused["codes"]) == ["inverted"]


def test_the_figures_are_those_of_the_predictor(
    phantom_set: Callable[..., Path], predictor: Predictor
) -> None:
    manifest = phantom_set(each=3)
    result = evaluate_manifest(manifest, workers=1, resamples=20)
    table = np.zeros((3, 3), dtype=int)
    for number in range(9):
        answer = predictor.predict(decode((manifest.parent / f"{number}.png").read_bytes()))
        table[number % 3, CLASSES.index(answer.label)] += 1
    assert result["confusion"] == table.tolist()
    assert result["accuracy"] == pytest.approx(np.trace(table) / 9, abs=1e-4)


def test_a_pool_gives_the_figures_of_one_process(phantom_set: Callable[..., Path]) -> None:
    manifest = phantom_set(each=WORTH_A_POOL // 3 + 1)
    alone = evaluate_manifest(manifest, workers=1, resamples=50)
    pooled = evaluate_manifest(manifest, workers=2, resamples=50)
    for name in ("seconds", "images_per_minute"):
        alone.pop(name)
        pooled.pop(name)
    assert alone == pooled


def test_two_columns_are_enough(phantom_set: Callable[..., Path], tmp_path: Path) -> None:
    lines = phantom_set(each=2).read_text().splitlines()
    manifest = tmp_path / "plain.csv"
    manifest.write_text("\n".join(",".join(line.split(",")[:2]) for line in lines))
    result = evaluate_manifest(manifest, workers=1, resamples=20)
    assert result["n"] == 6
    assert result["per_source"] == {}


def test_licences_sex_and_age_are_told_where_known(
    phantom_set: Callable[..., Path], tmp_path: Path
) -> None:
    lines = phantom_set(each=2).read_text().splitlines()
    known = ["F,71,CC BY", "M,9,CC BY", "m,45.5,", ",,", "x,old,CC0", "F,-,CC0"]
    manifest = tmp_path / "known.csv"
    rows = [f"{line},{more}" for line, more in zip(lines[1:], known, strict=True)]
    manifest.write_text("\n".join([f"{lines[0]},sex,age,license", *rows]))
    result = evaluate_manifest(manifest, workers=1, resamples=20)
    assert {name: part["n"] for name, part in result["per_sex"].items()} == {"female": 2, "male": 2}
    ages = {name: part["n"] for name, part in result["per_age"].items()}
    assert ages == {"0 to 17": 1, "40 to 59": 1, "60 and over": 1}
    assert result["data"]["licences"] == {
        "site0": {"CC BY": 1, "CC0": 1, "not recorded": 1},
        "site1": {"CC BY": 1, "CC0": 1, "not recorded": 1},
    }
    assert sum(part["test"] for part in result["data"]["counts"].values()) == 6


def test_a_manifest_of_one_class_has_no_auc(
    phantom_set: Callable[..., Path], tmp_path: Path
) -> None:
    lines = phantom_set(each=2).read_text().splitlines()
    manifest = tmp_path / "covid.csv"
    manifest.write_text("\n".join([lines[0], *(line for line in lines if ",covid," in line)]))
    result = evaluate_manifest(manifest, workers=1, resamples=20)
    check_shape(result)
    assert result["per_class"]["covid"]["auc"] is None
    assert "–" in format_report(result)


def test_nothing_to_score_is_an_empty_result_or_an_error(
    tmp_path: Path, phantom_set: Callable[..., Path]
) -> None:
    with pytest.raises(ManifestError, match="no row"):
        evaluate_manifest(phantom_set(each=1), split="none", workers=1)
    (tmp_path / "bad.csv").write_text("path,label\nnone.png,covid\n")
    result = evaluate_manifest(tmp_path / "bad.csv", workers=1)
    assert (result["n"], result["errors"]["n"]) == (0, 1)
    assert format_report(result)


def test_the_command_writes_json_and_prints(
    phantom_set: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    arguments = ["evaluate", "--manifest", str(phantom_set(each=2)), "--split", "test"]
    assert main([*arguments, "--json", str(out), "--workers", "1"]) == 0
    check_shape(json.loads(out.read_text()))
    assert "accuracy" in capsys.readouterr().out
    assert main(["evaluate", "--manifest", str(tmp_path / "none.csv")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_the_released_model_is_as_good_as_promised(real_manifest: Path) -> None:
    result = evaluate_manifest(real_manifest, split="test", resamples=20)
    assert result["accuracy"] >= 0.92
    assert result["ece"] <= 0.04
    for figures in result["per_class"].values():
        assert figures["auc"] >= 0.98
    assert result["quality_refused"]["rate"] <= 0.01
