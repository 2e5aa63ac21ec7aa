"""Many heads: each the best there is, of every known backbone, and a row of the bench."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ml import lite, lite_weights
from ml.bench.many import build_moments
from ml.cli import main
from ml.head import fit_head, fit_in_span
from ml.lite_weights import BackboneError, load_weights, save_weights, stages_of
from tests.ml.test_lite import released_backbone


def drawn_backbone(stages: lite.Stages, seed: int = 1) -> dict[str, np.ndarray]:
    """Small random weights for a network of so many stages."""
    import keras

    rng = np.random.default_rng(seed)
    inputs, taps, _ = lite.maps_of(32, stages)
    network = keras.Model(inputs, taps)
    return {
        f"{layer.name}/{part}": rng.normal(0.0, 0.1, tuple(weight.shape)).astype(np.float32)
        for layer in network.layers
        if layer.weights
        for part, weight in zip(("kernel", "bias"), layer.weights, strict=True)
    }


def test_in_the_span_of_few_looks_lies_the_same_head() -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(24) % 3
    means = rng.normal(size=(24, 2, 200)) * rng.uniform(0.1, 10.0, 200)
    means += labels[:, np.newaxis, np.newaxis] * 0.3
    shares = rng.uniform(0.5, 1.5, 24)
    shares /= shares.mean()
    one = fit_head(means, labels, shares, 0.5, steps=2000)
    other = fit_in_span(means, labels, shares, 0.5, steps=2000)
    np.testing.assert_allclose(one.probabilities(means), other.probabilities(means), atol=2e-3)
    unseen = rng.normal(size=(9, 1, 200))
    np.testing.assert_allclose(one.probabilities(unseen), other.probabilities(unseen), atol=2e-3)


@pytest.mark.parametrize("wheel", lite_weights.WHEELS, ids=lambda wheel: wheel.package)
def test_each_known_network_is_told_by_its_weights(wheel: lite_weights.Wheel) -> None:
    weights = drawn_backbone(wheel.stages)
    assert stages_of(weights) == wheel.stages
    model = build_moments(32, weights)
    channels = [stage[3] for stage in wheel.stages]
    assert model.output_shape == (None, 2 * (channels[2] + channels[4] + channels[6] + lite.TOP))


def test_the_scaled_networks_are_those_of_the_wheels() -> None:
    assert [stage[3] for stage in lite.DEEPER] == [16, 24, 40, 80, 112, 192, 320]
    assert [stage[4] for stage in lite.DEEPER] == [1, 3, 3, 4, 4, 5, 1]
    assert [stage[3] for stage in lite.WIDER] == [16, 24, 48, 88, 120, 208, 352]
    assert [stage[4] for stage in lite.WIDER] == [1, 3, 3, 4, 4, 5, 1]


def test_the_weights_of_another_network_are_refused() -> None:
    weights = drawn_backbone(lite.WIDER)
    last = sum(stage[4] for stage in lite.WIDER) - 1
    del weights[f"block{last}_project/bias"]
    with pytest.raises(BackboneError, match="no network that is known"):
        stages_of(weights)


def test_moments_are_means_and_deviations_of_whole_maps() -> None:
    weights = load_weights(released_backbone())
    model = build_moments(64, weights)
    film = np.random.default_rng(5).normal(size=(1, 64, 64, 2)).astype(np.float32)
    film[..., 1] = 1.0  # every place counts alike
    found = np.asarray(model.predict_on_batch(film))[0]
    plain = lite.build_features(64)
    lite.set_backbone(plain, weights)
    means = np.asarray(plain.predict_on_batch(film))[0]
    fine = lite.TAPS["fine"]
    np.testing.assert_allclose(found[:fine], means[:fine], atol=1e-3)
    assert (found[fine : 2 * fine] > 0).all(), "deviations"


def test_a_row_of_the_bench_with_two_backbones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "wider.npz"
    save_weights(drawn_backbone(lite.WIDER), other)
    table = tmp_path / "recipes.json"
    asked = ["bench", "recipes", "--tiny", "--json", str(table), "--only", "thorascreen_many"]
    assert main(asked) == 1, "it needs a backbone"
    asked += ["--backbone", str(released_backbone()), "--more-backbones", str(other)]
    assert main([*asked, "--task", "three_classes"]) == 0
    row = json.loads(table.read_text())["recipes"]["thorascreen_many"]["three_classes"]
    assert row["folds_done"] == row["folds"] >= 2
    cells = row["cells"].values()
    shown = {sum(cell["learning"].values()) + sum(cell["test"].values()) for cell in cells}
    assert len(shown) == 1, "every film of the folds is learnt from or tested on, each time"
    for cell in cells:
        assert cell["heads"] == 4
        assert len(cell["asked"]["backbones"]) == 2
    assert "thorascreen_many" in capsys.readouterr().out
    kept = list((tmp_path / "recipes-cells" / "many").iterdir())
    assert len(kept) == 4, "what was seen is kept"
