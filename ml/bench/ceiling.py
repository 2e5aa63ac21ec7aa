"""``python -m ml bench ceiling``: how right can anyone be on the folds of DarkCovidNet?

Their pneumonias were labelled by a program that read reports (NIH ChestX-ray8); some of the same
radiographs are called normal in another collection, by radiologists. Nobody who answers a film the
same way twice can be right in both places. This bench asks, with the kind of model that does best
there (``ml.bench.recipes.OURS_WHOLE``) and nothing of the fold it is tested on:

- what the known contradictions cost at least, and what our heads say of just these films;
- how many labels are likely wrong, by counting confident disagreement on films that the head has
  not seen (Northcutt et al. 2021, "Confident learning", the calibrated confident joint);
- how accuracy grows with the films to learn from, and where that seems to lead;
- whether two heads that share no film agree with each other more than with the labels. Where the
  labels are right and errors are independent, they can't.

The estimates are estimates; the first figure is a fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml import recipes
from ml.bench.cells import write_json
from ml.bench.heads import Heads
from ml.bench.phantoms import draw_bench_set
from ml.bench.recipes import WHOLE
from ml.data import Row, labels_of
from ml.head import smoke_config
from ml.metrics import Array
from ml.package import hash_file
from ml.recipes.protocol import Recipe
from ml.recipes.rows import Source, fold_rows, read_source
from ml.recipes.training import Report

Labels = npt.NDArray[np.int64]
READ_AS: Final = "normal"
"""What the other collection calls the contradicted films."""


def bench_ceiling(
    manifest: Path,
    json_file: Path,
    out: Path,
    backbone: Path,
    *,
    seed: int = 1,
    tiny: bool = False,
    report: Report = print,
) -> dict[str, Any]:
    """Fit heads on parts of the folds; returns, and writes, the figures.

    :raises RecipeError: when the manifest has no folds; ``BackboneError`` without weights.
    """
    if tiny:
        manifest = draw_bench_set(out / "phantoms")
    source = read_source(manifest)
    recipe = recipes.get_recipe("darkcovidnet")
    config = replace(smoke_config(), view=WHOLE.view) if tiny else WHOLE
    cache, among = out / "means.npz", source.folds
    heads = Heads(manifest, backbone, cache, report, config, among)
    folds = sorted(set(source.folds.values()))
    rows: list[Row] = []
    answers: list[Array] = []
    curve: dict[int, list[tuple[int, float]]] = {}
    twins: list[tuple[float, float]] = []
    for place, fold in enumerate(folds):
        report(f"== fold {fold}")
        test = fold_rows(recipe, source, fold).test
        labels = labels_of(test)
        chosen, _, _ = heads.choose_on_fold(recipe, source, fold, seed)
        answers.append(chosen.head.probabilities(heads.means_of(test)))
        rows += test
        learner = _Learner(heads, source, recipe, fold, chosen.ridge)
        others = folds[place + 1 :] + folds[:place]
        growing = [learner.learn(others[:count]) for count in range(1, len(others) + 1)]
        for count, (said, pictures) in enumerate(growing, start=1):
            curve.setdefault(count, []).append((pictures, float((said == labels).mean())))
        half = len(others) // 2
        if not half:
            continue  # two heads that share no film need two other folds
        pair = growing[half - 1][0], learner.learn(others[half : 2 * half])[0]
        right = float(np.mean([said == labels for said in pair]))
        twins.append((right, float((pair[0] == pair[1]).mean())))
    chances, truth = np.concatenate(answers), labels_of(rows)
    result = {
        "bench": "ceiling",
        "tiny": tiny,
        "manifest": hash_file(manifest),
        "seed": seed,
        **heads.asked,
        "folds": len(folds),
        **contradictions(chances, truth, rows, recipe.classes),
        "confident": confident_joint(chances, truth, recipe.classes),
        "curve": learning_curve(curve),
        "twins": {
            "accuracy": _round(np.mean([right for right, _ in twins])) if twins else None,
            "agreement": _round(np.mean([same for _, same in twins])) if twins else None,
        },
    }
    write_json(json_file, result)
    return result


@dataclass(frozen=True, slots=True)
class _Learner:
    """Fits heads on some of the other folds and asks them about one."""

    heads: Heads
    source: Source
    recipe: Recipe
    fold: int
    ridge: float

    def learn(self, folds: Sequence[int]) -> tuple[Labels, int]:
        """What a head that knows these folds says of each film, and how many films it knows."""
        division = fold_rows(self.recipe, self.source, self.fold)
        known = [row for row in division.learning if self.source.folds[row.name] in folds]
        head = self.heads.fit(known, self.ridge, self.recipe.classes)
        said: Labels = head.probabilities(self.heads.means_of(division.test)).argmax(axis=1)
        return said, len(known)


def contradictions(
    chances: Array, labels: Labels, rows: Sequence[Row], classes: Sequence[str]
) -> dict[str, Any]:
    """What films with two labels cost, and what is said of them.

    ``ceiling`` is the accuracy of somebody who is right about every other film and says of these
    what the other collection says.
    """
    said = chances.argmax(axis=1)
    contradicted = np.array([row.label_conflict for row in rows])
    relabelled = np.where(contradicted, classes.index(READ_AS), labels)
    same = ~contradicted & np.isin(labels, np.unique(labels[contradicted]))
    return {
        "pictures": len(rows),
        "contradicted": int(contradicted.sum()),
        "ceiling": _round(1.0 - contradicted.mean()),
        "accuracy": _round((said == labels).mean()),
        "accuracy_without_contradicted": _round((said == labels)[~contradicted].mean()),
        "accuracy_as_the_other_collection_reads": _round((said == relabelled).mean()),
        "called_normal": {
            "contradicted": _share(said == classes.index(READ_AS), contradicted),
            "others_of_their_class": _share(said == classes.index(READ_AS), same),
        },
    }


def confident_joint(chances: Array, labels: Labels, classes: Sequence[str]) -> dict[str, Any]:
    """How many labels are likely wrong: for each label, the films that are confidently something
    else, each class having as threshold its mean probability among the films that carry it.

    :param chances: (n, classes), of films that were not learnt from.
    :returns: ``wrong_labels``, the share of all films; ``ceiling``, what is left; and ``moved``,
        the share of each label's films that belong to another class.
    """
    count = len(classes)
    known = [number for number in range(count) if (labels == number).any()]
    thresholds = np.full(count, np.inf)
    for number in known:
        thresholds[number] = chances[labels == number, number].mean()
    confident = np.where(chances >= thresholds, chances, -1.0)
    sure = confident.max(axis=1) > 0
    joint = np.zeros((count, count))
    np.add.at(joint, (labels[sure], confident.argmax(axis=1)[sure]), 1.0)
    totals = np.bincount(labels, minlength=count).astype(np.float64)
    counted = joint.sum(axis=1)
    joint *= (totals / np.where(counted > 0, counted, 1.0))[:, np.newaxis]
    stay = float(joint.trace() / max(joint.sum(), 1.0))
    return {
        "wrong_labels": _round(1.0 - stay),
        "ceiling": _round(stay),
        "moved": {
            classes[number]: _round(1.0 - joint[number, number] / max(joint[number].sum(), 1.0))
            for number in known
        },
    }


def learning_curve(points: dict[int, list[tuple[int, float]]]) -> dict[str, Any]:
    """Mean accuracy by the number of folds learnt from, and where ``a - b / sqrt(n)``, the usual
    law of such curves, puts it for endlessly many films of this kind with such labels."""
    means = [
        {
            "folds": count,
            "pictures": round(float(np.mean([one[0] for one in found]))),
            "accuracy": _round(np.mean([one[1] for one in found])),
        }
        for count, found in sorted(points.items())
    ]
    if len(means) < 2:
        return {"points": means, "limit": None}
    inverse = np.array([one["pictures"] ** -0.5 for one in means])
    slope = np.polyfit(inverse, np.array([one["accuracy"] for one in means]), 1)
    return {"points": means, "limit": _round(min(1.0, float(slope[1])))}


def _share(part: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> float | None:
    return _round(part[whole].mean()) if whole.any() else None


def _round(value: Any) -> float:
    return round(float(value), 4)
