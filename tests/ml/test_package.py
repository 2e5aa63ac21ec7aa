"""A package is used whole or not at all: every kind of damage has its code."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml import CLASSES, package
from ml.package import ModelPackage, PackageError, load_package
from ml.predict import Predictor
from ml.preprocess import PREPROCESSING_VERSION

MODELS_BUDGET = 30 * 1024 * 1024


def code_of(path: Path | None) -> str:
    with pytest.raises(PackageError) as caught:
        Predictor.load(path)
    assert caught.value.message.endswith(".")
    return caught.value.code


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / package.MANIFEST).read_text())
    change(manifest)
    (folder / package.MANIFEST).write_text(json.dumps(manifest))


def test_the_released_package_is_whole_and_says_what_it_is(released: ModelPackage) -> None:
    manifest = released.manifest
    assert manifest["classes"] == list(CLASSES)
    assert manifest["preprocessing_version"] == PREPROCESSING_VERSION
    assert set(released.sha256) == set(package.FILES)
    assert manifest["training"]["counts"]["kermany/pneumonia"] > 3000
    assert "no bench figure" in manifest["training"]["bench"]
    assert "not a diagnosis" in manifest["limits"]
    assert released.path.name == f"{released.name}-{released.version}"


def test_released_packages_stay_small() -> None:
    total = sum(file.stat().st_size for file in package.MODELS.rglob("*") if file.is_file())
    assert total < MODELS_BUDGET


def test_a_missing_folder() -> None:
    assert code_of(Path("/nowhere/model")) == "model_missing"


@pytest.mark.parametrize("name", [*package.FILES, package.MANIFEST])
def test_a_missing_file(package_copy: Path, name: str) -> None:
    (package_copy / name).unlink()
    assert code_of(package_copy) == "model_missing"


@pytest.mark.parametrize("name", package.FILES)
def test_one_changed_byte(package_copy: Path, name: str) -> None:
    data = bytearray((package_copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (package_copy / name).write_bytes(bytes(data))
    assert code_of(package_copy) == "model_hash_mismatch"


def test_a_hash_that_is_not_there(package_copy: Path) -> None:
    change_manifest(package_copy, lambda m: m["sha256"].pop(package.LITERT_FILE))
    assert code_of(package_copy) == "model_hash_mismatch"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}', "{not json"])
def test_a_damaged_manifest(package_copy: Path, text: str) -> None:
    (package_copy / package.MANIFEST).write_text(text)
    assert code_of(package_copy) == "model_invalid"


def test_another_lung_segmenter_than_it_was_trained_with(package_copy: Path) -> None:
    change_manifest(package_copy, lambda m: m["input"].update(lungs_sha256="0" * 64))
    assert code_of(package_copy) == "model_hash_mismatch"


def test_a_view_that_nobody_knows(package_copy: Path) -> None:
    change_manifest(package_copy, lambda m: m["input"].update(view="bones"))
    assert code_of(package_copy) == "model_invalid"


def test_other_classes_or_order(package_copy: Path) -> None:
    change_manifest(package_copy, lambda m: m.update(classes=["normal", "pneumonia", "covid"]))
    assert code_of(package_copy) == "model_invalid"


def test_another_preprocessing(package_copy: Path) -> None:
    change_manifest(package_copy, lambda m: m.update(preprocessing_version=99))
    assert code_of(package_copy) == "model_preprocessing_mismatch"


@pytest.mark.parametrize("name", package.FILES)
def test_rubbish_with_a_right_hash(package_copy: Path, name: str) -> None:
    (package_copy / name).write_bytes(b"rubbish")
    change_manifest(
        package_copy, lambda m: m["sha256"].update({name: package.hash_file(package_copy / name)})
    )
    if name == package.KERAS_FILE:
        # the serving runtime does not open it
        assert load_package(package_copy)
    else:
        assert code_of(package_copy) == "model_invalid"


def test_the_environment_chooses(package_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(package.MODEL_VARIABLE, str(package_copy))
    assert load_package().path == package_copy
    monkeypatch.setenv(package.MODEL_VARIABLE, "/nowhere")
    assert code_of(None) == "model_missing"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "model_missing"),
        ("{}", "model_invalid"),
        ('{"package": "../../etc"}', "model_invalid"),
        ('{"package": "none-0.0"}', "model_missing"),
    ],
)
def test_the_list_of_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, code: str
) -> None:
    monkeypatch.delenv(package.MODEL_VARIABLE, raising=False)
    active = tmp_path / "active.json"
    if text is not None:
        active.write_text(text)
    monkeypatch.setattr(package, "ACTIVE", active)
    assert code_of(None) == code


def test_an_error_crosses_processes_whole() -> None:
    error = pickle.loads(pickle.dumps(PackageError("model_missing", "Gone.")))  # noqa: S301
    assert (error.code, error.message) == ("model_missing", "Gone.")
