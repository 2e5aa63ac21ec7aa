"""The command line, as people and scripts meet it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml.cli import main
from ml.imaging import read_header
from ml.package import ModelPackage
from ml.phantom import phantom_png

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("a.png", [], "png"),
        ("a.jpg", [], "jpeg"),
        ("a.dcm", [], "dicom"),
        ("a", ["--format", "dicom"], "dicom"),
    ],
)
def test_phantom(tmp_path: Path, name: str, options: list[str], kind: str) -> None:
    out = tmp_path / name
    arguments = ["phantom", "--seed", "4", "--finding", "covid", "--size", "300x400"]
    assert main([*arguments, *options, str(out)]) == 0
    header = read_header(out.read_bytes())
    assert (header.format, header.width, header.height) == (kind, 300, 400)


def test_a_phantom_that_cannot_be_drawn_or_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["phantom", "--size", "10x10", str(tmp_path / "a.png")]) == 1
    assert main(["phantom", "--size", "80x80", str(tmp_path / "no" / "a.png")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_predict_prints_one_object_a_line(
    tmp_path: Path, released: ModelPackage, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(phantom_png(1, "normal", (300, 300)))
    bad.write_bytes(b"hello")
    status = main(["predict", "--json", str(good), str(bad), str(tmp_path / "none.png")])
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert status == 1
    assert first["path"] == str(good)
    assert first["label"] in first["probabilities"]
    assert sum(first["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    verdict = {"accepted": True, "code": None, "message": None, "unfamiliar": True}
    assert first["quality"] == verdict
    assert first["model"] == {"name": released.name, "version": released.version}
    assert first["milliseconds"] > 0
    assert set(second) == {"path", "code", "message"}
    assert second["code"] == "unsupported_type"
    assert third["code"] == "unreadable_file"
    assert main(["predict", str(good)]) == 0
    assert first["label"] in capsys.readouterr().out


def test_predict_without_a_model_has_no_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(phantom_png(1, "normal", (300, 300)))
    assert main(["predict", "--json", str(picture), "--package", str(tmp_path / "none")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "model_missing" in said.err


def test_package_info(released: ModelPackage, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", "info"]) == 0
    said = capsys.readouterr().out
    assert released.version in said.splitlines()[0]
    assert main(["package", "info", "--package", "/nowhere"]) == 1


def test_packages_are_listed_and_damaged_ones_named(
    released: ModelPackage, package_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "in use" in line]
    assert f"{released.name} {released.version}" in line
    assert len(lines) > 1, "a site can go back"
    (package_copy / "model.tflite").write_bytes(b"another")
    assert main(["package", "list", "--models", str(package_copy.parent)]) == 1
    lines = capsys.readouterr().out.splitlines()
    (other,) = [line for line in lines if "model_hash_mismatch" in line]
    assert "in use" not in other


def test_renaming_a_file_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["covid.png", "normal.jpg", "x"]
    for name in names:
        (tmp_path / name).write_bytes(phantom_png(1, "pneumonia", (300, 300)))
    main(["predict", "--json", *(str(tmp_path / name) for name in names)])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len({json.dumps(line["probabilities"]) for line in lines}) == 1


LIGHT = [
    "ml",
    "ml.imaging",
    "ml.preprocess",
    "ml.package",
    "ml.predict",
    "ml.explain",
    "ml.quality",
    "ml.evaluate",
    "ml.phantom",
    "ml.cli",
    "ml.train",
]


@pytest.mark.parametrize("module", LIGHT)
def test_importing_loads_no_tensorflow_and_no_web_framework(module: str) -> None:
    code = (
        f"import sys, {module}; "
        "print([m for m in ('tensorflow', 'keras', 'django', 'celery') if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"


def test_serving_loads_no_tensorflow(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(phantom_png(1, "covid", (300, 300)))
    code = (
        "import sys; from ml.predict import Predictor; from ml.explain import heatmap_png; "
        f"p = Predictor.load().predict_bytes(open({str(picture)!r}, 'rb').read()); "
        "heatmap_png(p); print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "False"


def test_imaging_needs_nothing_heavy() -> None:
    code = (
        "import sys, ml.imaging; "
        "print([m for m in ('ai_edge_litert', 'ml.predict', 'ml.package') if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
