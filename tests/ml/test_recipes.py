"""Every recipe is what its authors published, and its protocols do what their names say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml import recipes
from ml.bench.phantoms import draw_bench_set
from ml.cli import main
from ml.recipes.pictures import vary
from ml.recipes.protocol import TINY_SIZE, Augmentation, Plan, RecipeError
from ml.recipes.rows import check_groups, divide, fold_rows, read_source, without_pneumonia
from ml.recipes.runs import TrainedRecipe
from ml.recipes.training import answer, build_model, fit


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_bench_set(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recipe") / "run"
    ask = ["train", "--recipe", "conv2_cli", "--tiny", "--half", "--out", str(out)]
    assert main(ask) == 0
    return out


def test_they_are_listed_with_what_was_claimed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    said = capsys.readouterr().out
    for name in recipes.NAMES:
        assert f"\n{name} " in f"\n{said}"
    for claim in ("98.46 %", "precision 97 %", "87.02 %", "98.08 %", "90 % validation", "93 %"):
        assert claim in said


@pytest.mark.parametrize(
    ("name", "trainable"),
    [
        ("cnn_binary_96", 5_668_097),
        ("cnn_binary_98", 5_668_097),
        # 16 convolutions and their norms, the last one of 3 outputs, and 507 x 3 + 3
        ("darkcovidnet", 1_167_586),
    ],
)
def test_networks_have_the_published_size(name: str, trainable: int) -> None:
    recipe = recipes.get_recipe(name)
    model = build_model(recipe, Plan(recipe.size, recipe.outputs))
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable


def test_mobilenet_has_the_published_size_with_its_frozen_and_moving_parts() -> None:
    recipe = recipes.get_recipe("mobilenet_dense")
    model = build_model(recipe, Plan(recipe.size, recipe.outputs))
    assert model.count_params() == recipe.parameters == 5_853_890


def test_another_size_is_refused() -> None:
    recipe = replace(recipes.get_recipe("cnn_binary_96"), parameters=5)
    with pytest.raises(RecipeError, match="5,668,097 parameters"):
        build_model(recipe, Plan(recipe.size, recipe.outputs))


def test_darkcovidnet_has_17_convolutions_and_five_pools() -> None:
    recipe = recipes.get_recipe("darkcovidnet")
    names = [type(layer).__name__ for layer in build_model(recipe, Plan(256, 3)).layers]
    assert names.count("Conv2D") == 17
    assert names.count("MaxPooling2D") == 5
    assert names.count("LeakyReLU") == 16


def test_the_dropouts_tell_the_twins_apart() -> None:
    rates = {}
    for name in ("cnn_binary_96", "cnn_binary_98"):
        model = build_model(recipes.get_recipe(name), Plan(48, 1, tiny=True))
        rates[name] = [layer.rate for layer in model.layers if hasattr(layer, "rate")]
    assert rates == {
        "cnn_binary_96": [0.25, 0.25, 0.25, 0.5],
        "cnn_binary_98": [0.25, 0.25, 0.5, 0.5],
    }


def test_the_own_protocol_watches_its_test_and_the_honest_one_does_not(drawn: Path) -> None:
    recipe, source = recipes.get_recipe("cnn_binary_96"), read_source(drawn)
    own = divide(recipe, source, "own", 1)
    assert own.watched == own.test
    honest = divide(recipe, source, "honest", 1)
    assert {row.split for row in honest.learning} == {"train"}
    assert {row.split for row in honest.watched} == {"val"}
    assert {row.split for row in honest.test} == {"test"}
    for division in (own, honest):
        assert not {row.name for row in division.learning} & {row.name for row in division.test}
        assert {row.label for row in division.test} == {"covid", "normal"}
    assert divide(recipe, source, "own", 1) == own
    assert divide(recipe, source, "own", 2) != own


def test_counts_and_views_are_those_of_the_recipe(real_manifest: Path) -> None:
    recipe, source = recipes.get_recipe("cnn_binary_96"), read_source(real_manifest)
    own = divide(recipe, source, "own", 1)
    for label in recipe.classes:
        assert sum(row.label == label for row in own.learning) == 144
        assert sum(row.label == label for row in own.test) == 36
    covid = [row for row in (*own.learning, *own.test) if row.label == "covid"]
    assert {row.source for row in covid} == {"ieee8023"}
    # all the PA films that there are, and AP films only to fill up
    assert sum(source.views[row.name] == "PA" for row in covid) == 141
    honest = divide(recipe, source, "honest", 1)
    assert {row.source for row in honest.test} == {"ieee8023", "kermany", "radiography"}


def test_the_folds_are_the_given_ones(real_manifest: Path) -> None:
    recipe, source = recipes.get_recipe("darkcovidnet"), read_source(real_manifest)
    tests = [fold_rows(recipe, source, fold).test for fold in range(5)]
    assert sum(len(test) for test in tests) == len({r.name for t in tests for r in t}) == 1125
    two = without_pneumonia(recipe)
    assert {row.label for row in fold_rows(two, source, 0).learning} == {"covid", "normal"}
    with pytest.raises(RecipeError, match="fold 7"):
        fold_rows(recipe, source, 7)


def test_a_group_on_both_sides_is_refused(drawn: Path) -> None:
    rows = read_source(drawn).rows
    with pytest.raises(RecipeError, match="both learnt from and tested on"):
        check_groups(rows[:3], [replace(rows[-1], group=rows[0].group)])


def test_variants_stay_in_place_and_in_range() -> None:
    square = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (2, 64, 1))
    rng = np.random.default_rng(1)
    assert vary(square, Augmentation(), rng) is square
    flipped = [vary(square, Augmentation(flip=True), rng)[0] for _ in range(20)]
    assert {tuple(picture[5]) for picture in flipped} == {
        tuple(square[0, 5]),
        tuple(square[0, 5, ::-1]),
    }
    white = np.full((1, 64, 64), 255, dtype=np.uint8)
    turned = vary(white, Augmentation(turn_degrees=15, shear_degrees=0.2, zoom=0.2), rng)
    # what comes in from outside repeats the edge
    assert turned.min() == 255


def test_a_recipe_learns_what_can_be_learnt_and_says_when_time_is_up(drawn: Path) -> None:
    recipe = recipes.get_recipe("conv2_cli")
    rows = [row for row in read_source(drawn).rows if row.label != "pneumonia"][:12]
    binary = replace(recipe, classes=("normal", "covid"), outputs=2, rate=3e-3)
    squares = np.full((12, 48, 48), 40, dtype=np.uint8)
    squares[[row.label == "covid" for row in rows]] = 200
    model = build_model(binary, Plan(48, 2))
    pictures = (squares, rows)
    result = fit(model, binary, pictures, pictures, seed=1, epochs=15, report=lambda _: None)
    assert result.stopped == "epochs"
    assert result.epochs_reached == 15
    chances = answer(model, binary, squares)
    assert np.allclose(chances.sum(axis=1), 1.0)
    assert [binary.classes[k] for k in chances.argmax(axis=1)] == [row.label for row in rows]
    cut = fit(model, binary, pictures, pictures, seed=1, minutes=0.0, report=lambda _: None)
    assert (cut.stopped, cut.epochs_reached) == ("minutes", 1.0)


def test_a_run_records_what_it_is(run: Path) -> None:
    record = json.loads((run / "recipe.json").read_text())
    assert (record["recipe"], record["protocol"], record["tiny"]) == ("conv2_cli", "honest", True)
    assert (record["epochs_reached"], record["epochs_asked"]) == (1, 1)
    assert record["half"] is True
    assert record["learning"] == {
        f"{source}/{label}": 4
        for source in ("site_a", "site_b")
        for label in ("covid", "normal", "pneumonia")
    }
    assert set(record["figures"]["per_source"]) == {"site_a", "site_b"}


def test_predict_prints_the_class(
    run: Path, drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(drawn.parent / "phantom-1.png")
    ask = ["predict", "--recipe", "conv2_cli", "--run", str(run), "--image"]
    assert main([*ask, image]) == 0
    label = capsys.readouterr().out.strip()
    assert label in ("covid", "pneumonia", "normal")
    assert main([*ask, image, "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["label"] == label == max(line["probabilities"], key=line["probabilities"].get)
    assert main([*ask, str(run / "recipe.json")]) == 1
    assert capsys.readouterr().out == ""


def test_without_its_own_run_there_is_no_answer(
    run: Path, tmp_path: Path, drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(drawn.parent / "phantom-1.png")
    ask = ["predict", "--image", image, "--run"]
    assert main([*ask, str(tmp_path), "--recipe", "conv2_cli"]) == 1
    assert "train it first" in capsys.readouterr().err
    assert main([*ask, str(run), "--recipe", "cnn4_denoise"]) == 1
    assert "holds the recipe conv2_cli" in capsys.readouterr().err
    assert main([*ask, str(run), "--recipe", "resnet"]) == 1
    assert "There is no recipe 'resnet'" in capsys.readouterr().err
    for name in ("recipe.json", "model.keras"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with (tmp_path / "model.keras").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(RecipeError, match="not the file that was trained"):
        TrainedRecipe.load("conv2_cli", tmp_path)
    assert main(["predict"]) == 1


@pytest.mark.parametrize("name", recipes.NAMES)
def test_with_half_the_layers_multiply_in_bfloat16_and_the_answers_do_not(name: str) -> None:
    recipe = recipes.get_recipe(name)
    model = build_model(recipe, Plan(TINY_SIZE, recipe.outputs, tiny=True), half=True)
    inner = {layer.compute_dtype for layer in model.layers if layer.weights}
    assert inner == {"bfloat16", "float32"}
    assert model.layers[-1].compute_dtype == "float32"
    assert all(weight.dtype == "float32" for weight in model.weights)
    whole = build_model(recipe, Plan(TINY_SIZE, recipe.outputs, tiny=True))
    assert {layer.compute_dtype for layer in whole.layers} == {"float32"}


def test_a_run_is_not_overwritten_and_a_recipe_takes_no_foreign_settings(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["train", "--recipe", "conv2_cli", "--tiny", "--out"]
    assert main([*again, str(run)]) == 1
    assert "already holds a run" in capsys.readouterr().err
    assert main([*again, str(tmp_path / "a"), "--epochs", "3"]) == 1
    assert main([*again, str(tmp_path / "a"), "--resume"]) == 1
    assert not (tmp_path / "a" / "recipe.json").exists()


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("cnn4_denoise", {"model.h5"}),
        ("cnn_binary_98", {"model.json", "model.weights.h5"}),
    ],
)
def test_files_of_the_original_formats_hold_the_same_network(
    name: str, files: set[str], tmp_path: Path, drawn: Path
) -> None:
    import keras

    from ml.recipes.runs import train_recipe

    train_recipe(name, drawn, tmp_path / "r", protocol="own", tiny=True, report=lambda _: None)
    assert files <= {path.name for path in (tmp_path / "r").iterdir()}
    trained = TrainedRecipe.load(name, tmp_path / "r")
    if name == "cnn4_denoise":
        other = keras.models.load_model(tmp_path / "r" / "model.h5", compile=False)
    else:
        other = keras.models.model_from_json((tmp_path / "r" / "model.json").read_text())
        other.load_weights(tmp_path / "r" / "model.weights.h5")
    squares = np.random.default_rng(1).integers(0, 255, (3, 48, 48)).astype(np.uint8)
    one, two = (answer(model, trained.recipe, squares) for model in (trained.model, other))
    assert np.allclose(one, two, atol=1e-6)


def test_missing_imagenet_weights_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ml.recipes import backbones

    def nothing_there(name: str) -> str:
        return "no route to host"

    monkeypatch.setattr(backbones, "_try_to_load", nothing_there)
    assert backbones.ask_for_weights(recipes.get_recipe("conv2_vgg16")) is None
    said = capsys.readouterr().out
    assert "ImageNet weights of VGG16 are not on this machine" in said
    assert "from scratch" in said
    assert backbones.ask_for_weights(recipes.get_recipe("conv2_cli")) is None
    assert capsys.readouterr().out == ""
