"""How right anyone can be: what is known, what is estimated, and that both can be told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ml.bench.ceiling import confident_joint, contradictions, learning_curve
from ml.cli import main
from ml.data import Row
from tests.ml.test_lite import released_backbone

CLASSES = ("covid", "pneumonia", "normal")


def sure(labels: np.ndarray, certainty: float = 0.8) -> np.ndarray:
    """Answers that name these classes."""
    rest = (1.0 - certainty) / 2.0
    return np.where(np.eye(3, dtype=bool)[labels], certainty, rest)


def test_a_film_with_two_labels_costs_whoever_answers_once() -> None:
    labels = np.array([0, 1, 1, 1, 2])
    rows = [
        Row(Path(f"{place}.png"), CLASSES[label], label_conflict=place == 1)
        for place, label in enumerate(labels)
    ]
    as_the_other_reads = sure(np.array([0, 2, 1, 2, 2]))
    found = contradictions(as_the_other_reads, labels, rows, CLASSES)
    assert found["contradicted"] == 1
    assert found["ceiling"] == 0.8
    assert found["accuracy"] == 0.6
    assert found["accuracy_without_contradicted"] == 0.75
    assert found["accuracy_as_the_other_collection_reads"] == 0.8
    assert found["called_normal"] == {"contradicted": 1.0, "others_of_their_class": 0.5}


def test_without_contradictions_nothing_is_said_of_them() -> None:
    rows = [Row(Path("a.png"), "covid"), Row(Path("b.png"), "normal")]
    found = contradictions(sure(np.array([0, 2])), np.array([0, 2]), rows, CLASSES)
    assert found["ceiling"] == 1.0
    assert found["called_normal"]["contradicted"] is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2])
def test_wrong_labels_are_counted_by_what_contradicts_them(share: float) -> None:
    rng = np.random.default_rng(7)
    truth = np.repeat([0, 1, 2], [300, 1000, 1000])
    noisy = truth.copy()
    wrong = rng.permutation(np.flatnonzero(truth == 2))[: round(share * 1000)]
    noisy[wrong] = 1  # normals that somebody called pneumonia
    logits = 4.0 * np.eye(3)[truth] + rng.normal(size=(len(truth), 3))
    raised = np.exp(logits)
    found = confident_joint(raised / raised.sum(axis=1, keepdims=True), noisy, CLASSES)
    # the method errs towards fewer, for a threshold that wrong labels lower is passed by more
    assert found["wrong_labels"] == pytest.approx(share * 1000 / 2300, abs=0.03)
    assert found["ceiling"] == pytest.approx(1.0 - found["wrong_labels"])
    assert found["moved"]["pneumonia"] == pytest.approx(
        share * 1000 / (1000 + len(wrong)), abs=0.06
    )
    assert found["moved"]["covid"] == pytest.approx(0.0, abs=0.02)


def test_a_class_that_nobody_carries_is_no_suspect() -> None:
    labels = np.array([0, 0, 2, 2])
    found = confident_joint(sure(labels), labels, CLASSES)
    assert found["wrong_labels"] == 0.0
    assert set(found["moved"]) == {"covid", "normal"}


def test_the_curve_leads_where_its_law_says() -> None:
    law = {count: [(count * 200, 0.9 - 2.0 / np.sqrt(count * 200))] for count in (1, 2, 3, 4)}
    found = learning_curve(law)
    assert [point["pictures"] for point in found["points"]] == [200, 400, 600, 800]
    assert found["limit"] == pytest.approx(0.9, abs=1e-3)
    assert learning_curve({1: [(200, 0.5)]})["limit"] is None


def test_the_bench_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "ceiling.json"
    asked = ["bench", "ceiling", "--tiny", "--json", str(out)]
    assert main([*asked, "--backbone", str(released_backbone())]) == 0
    found = json.loads(out.read_text())
    assert found["tiny"]
    known = [point["pictures"] for point in found["curve"]["points"]]
    assert known == sorted(known)
    assert known[-1] < found["pictures"], "the fold itself is never learnt from"
    assert found["twins"] == {"accuracy": None, "agreement": None}, "it has two folds only"
    assert len(found["curve"]["points"]) == found["folds"] - 1
    assert "films, contradicted" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(asked)  # there is nothing to stand on
