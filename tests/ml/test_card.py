"""The model card: nothing invented, the worst first, the same bytes from the same figures."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ml.card import CONFOUNDING, Table, build_card, recorded_evaluations, worst_figures
from ml.card_bench import bench_sections, kind_of, worst_unseen
from ml.card_file import PICTURES, CardError, card_files, find_inputs, pictures_of, write_card
from ml.cli import main
from ml.figures import Span, reliability_picture, roc_picture, spans_picture
from ml.package import ModelPackage

ROOT = Path(__file__).resolve().parents[2]
CARD = ROOT / "docs" / "model-card.md"
AGAIN = "the card is out of date: run python -m ml evaluate … and python -m ml card (ml/README.md)"


@pytest.fixture
def manifest(released: ModelPackage) -> dict[str, Any]:
    return copy.deepcopy(released.manifest)


def text_of(manifest: dict[str, Any]) -> str:
    return card_files(manifest, [])[""]


def test_the_kept_card_is_that_of_the_model_in_use(released: ModelPackage) -> None:
    text = CARD.read_text(encoding="utf-8")
    assert f"# Model card: {released.name} {released.version}\n" in text, AGAIN
    for name, value in released.sha256.items():
        assert f"| SHA-256 of {name} | {value} |" in text, AGAIN


def test_the_kept_card_is_what_its_inputs_give(released: ModelPackage) -> None:
    """A bench that was renewed since may wait; what the card does name must be in it unchanged."""
    text = CARD.read_text(encoding="utf-8")
    inputs = find_inputs(released.path)
    named = [one for one in inputs if one.sha256 in text]
    assert any(one.kind == "evaluation" for one in named), AGAIN
    own = [path.name for path in released.path.glob("*.json")]
    assert all(one.sha256 in text for one in inputs if one.name in own), AGAIN
    if len(named) == _listed(text):
        files = card_files(released.manifest, named)
        assert files.pop("") == text, AGAIN
        pictures = CARD.parent / PICTURES
        assert {path.name: path.read_text() for path in pictures.iterdir()} == files, AGAIN


def _listed(text: str) -> int:
    made = text.split("## How this card was made")[1]
    return len(re.findall(r"\| [0-9a-f]{64} \|", made))


def test_every_picture_that_is_named_is_there() -> None:
    named = re.findall(r'src="([^"]+)"', CARD.read_text(encoding="utf-8"))
    assert named
    assert all((CARD.parent / name).is_file() for name in named)


def test_the_worst_figures_stand_before_all_others(manifest: dict[str, Any]) -> None:
    evaluation = recorded_evaluations(manifest)[0]
    card = build_card(manifest)
    first = card.sections[0].blocks
    assert isinstance(first[0], Table)
    assert CONFOUNDING in first
    shown = {(row[0], row[1], row[2]) for row in first[0].rows}
    worst = worst_figures(evaluation)
    assert shown == {(f"Lowest {what}", source, value) for what, source, value, _ in worst}
    text = text_of(manifest)
    overall = f"{evaluation['accuracy']:.3f} ["
    assert text.index(worst[0][2]) < text.index(overall)


def test_the_worst_is_the_worst_and_no_handful(manifest: dict[str, Any]) -> None:
    evaluation = recorded_evaluations(manifest)[0]
    source = evaluation["per_source"]["kermany"]
    source["accuracy"], source["accuracy_ci"] = 0.1234, [0.1, 0.2]
    source["per_class"]["normal"] |= {"sensitivity": 0.0111, "n": 4}
    found = {what: (where, value) for what, where, value, _ in worst_figures(evaluation)}
    assert found["accuracy"] == ("kermany", "0.123 [0.100, 0.200]")
    assert "0.011" not in str(found)


def test_changed_figures_change_the_card_and_nothing_else_does(manifest: dict[str, Any]) -> None:
    before = text_of(manifest)
    assert text_of(manifest) == before
    manifest["metrics"]["test"]["per_source"]["kermany"]["accuracy"] = 0.5432
    manifest["training"]["counts"]["kermany/normal"] = 98765
    after = text_of(manifest)
    assert "0.543" in after
    assert "98765" in after
    assert "98765" not in before


def test_without_figures_it_says_so() -> None:
    card = build_card({"name": "new", "version": "0"}, [], bench_sections([]))
    text = str(card.sections)
    assert card.title == "Model card: new 0"
    assert "This version carries no figures." in text
    assert text.count("Not measured yet.") >= 6
    assert pictures_of(card) == []


def test_a_foreign_evaluation_is_refused(released: ModelPackage, tmp_path: Path) -> None:
    foreign = {
        "n": 0,
        "per_source": {},
        "confusion": [],
        "model": {"name": released.name, "version": released.version, "sha256": {"a": "b"}},
    }
    path = tmp_path / "foreign.json"
    path.write_text(json.dumps(foreign))
    with pytest.raises(CardError, match="another model"):
        card_files(released.manifest, find_inputs(released.path, [path], []))


@pytest.mark.parametrize(
    ("content", "why"),
    [("{", "neither"), ("{}", "neither"), ('{"bench": "sources", "tiny": true}', "tiny run")],
)
def test_what_is_no_figure_is_refused(
    content: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    assert main(["card", "--bench", str(path), "--out", str(tmp_path / "card.md")]) == 1
    assert why in capsys.readouterr().err
    assert not (tmp_path / "card.md").exists()


def test_the_command_writes_card_and_pictures(
    phantom_set: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["evaluate", "--manifest", str(phantom_set(each=10)), "--json", str(figures)]
    assert main([*arguments, "--workers", "1"]) == 0
    out = tmp_path / "docs" / "card.md"
    command = ["card", "--evaluation", str(figures), "--out", str(out)]
    assert main(command) == 0
    text = out.read_text()
    named = re.findall(r'src="([^"]+)"', text)
    assert len(named) == len(set(named)) == 1 + 3 * 3
    for name in named:
        tree = ElementTree.parse(out.parent / name)  # noqa: S314 (our own file)
        assert not [one for one in tree.iter() if "style" in one.attrib]
    stale = out.parent / PICTURES / "old.svg"
    stale.write_text("old")
    assert main(command) == 0
    assert out.read_text() == text
    assert not stale.exists()
    assert "pictures" in capsys.readouterr().out


def test_a_bench_fills_its_section(manifest: dict[str, Any]) -> None:
    figures = manifest["metrics"]["test"]
    cell = {"figures": figures, "epochs_reached": 3.0, "epochs_asked": 4}
    sources = {"bench": "sources", "left_out": {"kermany": cell, "x": {**cell, "figures": None}}}
    folds = {"own": figures, "honest": None, "folds_done": 1, "folds": 5}
    recipes = {
        "bench": "recipes",
        "recipes": {
            "cnn": {"claims": [{"words": "96 %"}], "own": cell, "honest": None},
            "deep": {"claims": [], "own": {**cell, "epochs_reached": 0.5}, "honest": None},
            "dark": {"claims": [], "three_classes": folds, "covid_normal": folds},
        },
    }
    assert [kind_of(one) for one in (sources, recipes, figures)] == [
        "sources",
        "recipes",
        "evaluation",
    ]
    found = {section.title: str(section.blocks) for section in bench_sections([sources, recipes])}
    assert f"{figures['accuracy']:.3f}" in found["Trained without a source, tested on it"]
    assert "3 of 4" in found["Trained without a source, tested on it"]
    assert "96 %" in found["Recipes beside their claims"]
    (deep,) = (row for row in re.findall(r"\('deep'[^)]*\)", found["Recipes beside their claims"]))
    assert "cut short, epochs 0.5 of 4" in deep
    assert f"{figures['accuracy']:.3f}" not in deep
    assert "1 of 5 folds" in found["Recipes beside their claims"]
    assert "Not measured yet." in found["Does the heatmap point at disease?"]
    worse = {
        **figures,
        "pairs": {
            **figures["pairs"],
            "covid_normal": {**figures["pairs"]["covid_normal"], "auc": 0.5},
        },
    }
    sources["left_out"]["radiography"] = {**cell, "figures": worse}
    line, *others = worst_unseen([recipes, sources])
    assert line[0].endswith("COVID-19 against normal")
    assert line[1] == "radiography"
    assert line[2].startswith("0.500 [")
    # one line a pair of classes, each from wherever it is worst
    assert len({what for what, *_ in (line, *others)}) == len(figures["pairs"])
    del sources["left_out"]["radiography"]
    line, *_ = worst_unseen([recipes, sources])
    lowest = min(one["auc"] for one in figures["pairs"].values())
    assert line[1] == "kermany"
    assert line[2].startswith(f"{lowest:.3f} [")
    first = build_card(manifest, worst=[line]).sections[0].blocks[0]
    assert isinstance(first, Table)
    assert first.rows[-1] == line
    assert worst_unseen([recipes]) == []


def test_what_the_gate_keeps_out_and_how_high_the_folds_go_have_their_sections() -> None:
    part = {"shown": 200, "refused": 150, "refused_with_posture": 199}
    gate = {"model": {"name": "m", "version": "1"}, "all": part, "families": {"noise": part}}
    ceiling = {
        "bench": "ceiling",
        "pictures": 1125,
        "contradicted": 58,
        "ceiling": 0.9484,
        "accuracy": 0.8,
        "accuracy_without_contradicted": 0.82,
        "accuracy_as_the_other_collection_reads": 0.83,
        "called_normal": {"contradicted": 0.5, "others_of_their_class": 0.2},
        "confident": {"wrong_labels": 0.1234, "ceiling": 0.8766, "moved": {}},
        "twins": {"accuracy": 0.75, "agreement": 0.85},
        "curve": {"points": [{"folds": 1, "pictures": 225, "accuracy": 0.7}], "limit": None},
    }
    assert [kind_of(one) for one in (gate, ceiling)] == ["gate", "ceiling"]
    found = {section.title: str(section.blocks) for section in bench_sections([gate, ceiling])}
    assert "'noise', '200', '150', '199', '99.5%'" in found["What the gate keeps out"]
    for figure in ("58 of 1125", "0.948", "0.123", "0.877", "225 films', '0.700'"):
        assert figure in found["How high the folds of DarkCovidNet go"]


def test_files_without_figures_are_passed_over_unless_named(package_copy: Path) -> None:
    (package_copy / "notes.json").write_text('{"hello": 1}')
    (package_copy / "broken.json").write_text("{")
    names = {one.name for one in find_inputs(package_copy)}
    assert "evaluation-test.json" in names
    assert not names & {"notes.json", "broken.json", "manifest.json"}
    with pytest.raises(CardError, match="neither"):
        find_inputs(package_copy, None, [package_copy / "notes.json"])


def test_words_are_text_and_never_markup() -> None:
    span = Span('<script>"x"&', 0.5, 0.4, 0.6)
    picture = spans_picture("a < b", [span])
    assert picture is not None
    for drawn in (picture.file(), picture.inline()):
        assert "<script" not in drawn
        ElementTree.fromstring(drawn)  # noqa: S314 (our own text)


def test_nothing_to_draw_is_no_picture() -> None:
    assert roc_picture("x", {"covid": None}) is None
    assert reliability_picture("x", []) is None
    assert spans_picture("x", []) is None


def test_an_old_manifest_makes_a_card_too(manifest: dict[str, Any], tmp_path: Path) -> None:
    for part in manifest["metrics"]["test"]["per_source"].values():
        part.pop("roc", None)
        part.pop("reliability", None)
    written = write_card(tmp_path / "card.md", manifest, [])
    assert written[0].read_text().startswith("# Model card")
