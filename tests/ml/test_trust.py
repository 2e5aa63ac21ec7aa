"""What was fitted for one model is used with that model, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ml.cli import main
from ml.data import ManifestError
from ml.imaging import DecodedImage
from ml.lungs import LungSegmenter
from ml.package import ModelPackage, PackageError, hash_file, load_package
from ml.predict import Predictor
from ml.trust import TRUST_FILE, fit_trust, load_trust


@pytest.fixture(scope="module")
def segmenter() -> LungSegmenter:
    return LungSegmenter.load()


@pytest.fixture
def phantom_val(phantom_set: Callable[..., Path]) -> Path:
    manifest = phantom_set(5)
    manifest.write_text(manifest.read_text().replace(",test\n", ",val\n"))
    return manifest


def refusal(package: Path, segmenter: LungSegmenter) -> str:
    with pytest.raises(PackageError) as caught:
        load_trust(load_package(package), segmenter)
    return caught.value.code


def test_from_fitting_to_an_answer(
    package_copy: Path,
    phantom_val: Path,
    segmenter: LungSegmenter,
    phantoms: list[DecodedImage],
) -> None:
    predictor = Predictor.load(package_copy)
    (package_copy / TRUST_FILE).unlink(missing_ok=True)
    assert refusal(package_copy, segmenter) == "model_missing"
    path = fit_trust(phantom_val, predictor, segmenter, lambda _: None)
    assert path == package_copy / TRUST_FILE
    first = path.read_bytes()
    fit_trust(phantom_val, predictor, segmenter, lambda _: None)
    assert path.read_bytes() == first

    trust = load_trust(load_package(package_copy), segmenter)
    assert trust.report["conformal"]["n"] + trust.report["refused_by_gate"] == 15
    assert set(trust.report["per_source"]) == {"site0", "site1"}
    meter = trust.open_meter(predictor, segmenter)
    for image in phantoms[:3]:
        answer = predictor.predict(image)
        carried = trust.carry(meter, image, answer)
        assert carried.uncertain == (len(carried.prediction_set) != 1)
        assert carried.point.sensitivity >= 0.9
        assert carried.called == (answer.probabilities["covid"] >= carried.point.threshold)
        strict = trust.tables["covid"].choose(0.2)
        assert trust.carry(meter, image, answer, strict).point == strict
        assert json.loads(json.dumps(carried.to_json()))["shortcut"]["verdict"]

    content = json.loads(first)
    for change in (
        {"format": 99},
        {"conformal": {}},
        {"tables": {}},
        {"shortcut": {"vanished": "x"}},
        {"report": 5},
    ):
        path.write_text(json.dumps(content | change))
        assert refusal(package_copy, segmenter) == "model_invalid"
    path.write_text("[]")
    assert refusal(package_copy, segmenter) == "model_invalid"
    path.write_text("{")
    assert refusal(package_copy, segmenter) == "model_invalid"
    other = content["fitted_for"] | {"lungs": "0" * 64}
    path.write_text(json.dumps(content | {"fitted_for": other}))
    assert refusal(package_copy, segmenter) == "model_hash_mismatch"
    path.write_bytes(first)
    manifest = package_copy / "manifest.json"
    described = json.loads(manifest.read_text())
    described["calibration"]["temperature"] *= 1.01
    manifest.write_text(json.dumps(described))
    assert refusal(package_copy, segmenter) == "model_hash_mismatch"


def test_the_model_in_use_has_its_thresholds(
    released: ModelPackage, segmenter: LungSegmenter
) -> None:
    """``python -m ml trust fit`` writes them for a package that was released without."""
    trust = load_trust(released, segmenter)
    assert trust.conformal.coverage == 0.9
    assert trust.sha256 == hash_file(released.path / TRUST_FILE)
    assert trust.tables["covid"].choose().specificity > 0.9
    figures = trust.report["shortcut"]
    for verdict in ("reliable", "unreliable"):
        assert figures[verdict]["stay_in_foreign_surroundings"] > 0.85
        assert figures[verdict]["take_the_class_of_the_surroundings"] < 0.1


def test_a_class_that_is_missing(
    package_copy: Path, phantom_val: Path, segmenter: LungSegmenter
) -> None:
    phantom_val.write_text(phantom_val.read_text().replace(",covid,", ",normal,"))
    with pytest.raises(ManifestError, match="covid"):
        fit_trust(phantom_val, Predictor.load(package_copy), segmenter, lambda _: None)


def test_nothing_to_fit_on(
    package_copy: Path, phantom_set: Callable[..., Path], segmenter: LungSegmenter
) -> None:
    with pytest.raises(ManifestError, match="split val"):
        fit_trust(phantom_set(1), Predictor.load(package_copy), segmenter, lambda _: None)


def test_the_commands(
    package_copy: Path, phantom_val: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (package_copy / TRUST_FILE).unlink(missing_ok=True)
    package = ["--package", str(package_copy)]
    assert main(["trust", "report", *package]) == 1
    assert "model_missing" in capsys.readouterr().err
    assert main(["trust", "fit", "--manifest", str(phantom_val), *package]) == 0
    assert '"conformal"' in capsys.readouterr().out
    out = phantom_val.parent / "measured.json"
    measure = ["trust", "measure", "--manifest", str(phantom_val), *package]
    assert main([*measure, "--split", "val", "--json", str(out)]) == 0
    again, fitted = json.loads(out.read_text()), json.loads((package_copy / TRUST_FILE).read_text())
    assert again["conformal"] == fitted["report"]["conformal"]
    assert again["per_source"] == fitted["report"]["per_source"]
    assert main([*measure, "--split", "other"]) == 1
    capsys.readouterr()
    assert main(["trust", "fit", "--manifest", "/nowhere.csv", *package]) == 1
    assert main(["pointing", "--manifest", str(phantom_val), *package]) == 1
    assert "masks.csv" in capsys.readouterr().err
