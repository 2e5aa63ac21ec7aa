"""The sections of the model card that come from benches: shortcuts, unseen hospitals, recipes,
heatmaps, and what was fitted for each answer to carry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ml.card import FEWEST, NOT_MEASURED, Block, Json, Section, Table, figure, pair_name
from ml.figures import NAMES

LEAST_EPOCHS_SHARE: Final = 0.2
"""Of the epochs asked for: a training cut short before that says nothing of its recipe."""
PROBES: Final = {
    "thumbnail_16": "thumbnail of 16 × 16 pixels",
    "border_only": "outer border alone",
    "lungs_masked": "lungs painted over",
}
MAPS: Final = {
    "heatmap": "heatmap of the answer",
    "heatmap_of_truth": "heatmap of the recorded class",
    "lungs": "baseline: both lungs",
    "centre": "baseline: centre of the picture",
}


def kind_of(content: Json) -> str | None:
    """What a JSON file holds: the name of a section, ``evaluation``, or None."""
    if content.get("bench") in SECTIONS:
        return str(content["bench"])
    if "opacity_area" in content:
        return "pointing"
    if "conformal" in content and "report" in content:
        return "trust"
    if "families" in content and set(GATES) <= set(content.get("all", ())):
        return "gate"
    return "evaluation" if "per_source" in content and "confusion" in content else None


def bench_sections(benches: Sequence[Json], evaluation: Json | None = None) -> list[Section]:
    """All sections in their order; those without a bench say so."""
    found = {kind_of(content): content for content in benches}
    return [
        Section(title, draw(found[kind], evaluation) if kind in found else (NOT_MEASURED,))
        for kind, (title, draw) in SECTIONS.items()
    ]


def worst_unseen(benches: Sequence[Json]) -> list[tuple[str, str, str, str]]:
    """The lowest AUC of each pair of classes on a source that was left out of training, as lines of
    the first table, the worst first."""
    areas: dict[str, tuple[float, str, str, int]] = {}
    for content in benches:
        left_out = content["left_out"] if kind_of(content) == "sources" else {}
        for name, cell in left_out.items():
            figures = cell.get("figures")
            for pair, one in (figures or {}).get("pairs", {}).items():
                sides = [figures["per_class"][label]["n"] for label in pair.split("_")]
                if one["auc"] is None or min(sides) < FEWEST:
                    continue
                found = (one["auc"], name, figure(one, "auc"), sum(sides))
                areas[pair] = min(found, areas.get(pair, found))
    return [
        (
            f"Lowest AUC where a fresh network never saw the source, {pair_name(pair)}",
            name,
            value,
            str(pictures),
        )
        for pair, (_, name, value, pictures) in sorted(areas.items(), key=lambda item: item[1])
    ]


def _sources(content: Json, evaluation: Json | None) -> tuple[Block, ...]:
    rows: list[tuple[str, ...]] = []
    for name, cell in content["left_out"].items():
        figures = cell.get("figures")
        if figures is None:
            rows.append((name, "–", _epochs(cell), str(cell.get("note", "–")), "–", "–", "–"))
            continue
        pairs = [figure(one, "auc") for one in figures["pairs"].values()]
        accuracy = figure(figures, "accuracy")
        rows.append((name, str(figures["n"]), _epochs(cell), accuracy, *pairs))
    measured = [c["figures"] for c in content["left_out"].values() if c.get("figures")]
    pairs_of: tuple[str, ...] = tuple(measured[0]["pairs"]) if measured else ()
    heading = ("left out", "pictures", "epochs or ridge", "accuracy")
    names = tuple(f"AUC {pair_name(pair)}" for pair in pairs_of) or ("AUC", "AUC", "AUC")
    words = (
        "For each source the same kind of model, learnt anew without it and tested on it. This is "
        "the nearest that these data come to another hospital. The probabilities are "
        "not calibrated there: AUCs are the figures to read."
    )
    return words, Table("", (*heading, *names), tuple(rows))


def _epochs(cell: Json) -> str:
    if "ridge" in cell:
        return f"{cell['ridge']:g}"
    words = f"{cell['epochs_reached']:.3g} of {cell['epochs_asked']}"
    return f"{words}, bfloat16" if cell.get("half") else words


def _baselines(content: Json, evaluation: Json | None) -> tuple[Block, ...]:
    rows = []
    if evaluation is not None and evaluation.get("split") == "test":
        rows.append(("this model", "", figure(evaluation, "accuracy"), _by_source(evaluation)))
    for probe, models in content["baselines"].items():
        name = PROBES.get(probe, probe)
        if "note" in models:
            rows.append((name, "–", str(models["note"]), "–"))
            continue
        rows += [
            (
                name,
                model.replace("_", " "),
                figure(one["test"], "accuracy"),
                _by_source(one["test"]),
            )
            for model, one in models.items()
        ]
    words = (
        "What simple models reach on the test split without looking at the lungs. A network that "
        "is not clearly better than these has learnt the collections rather than the disease."
    )
    heading = ("what is seen", "learnt by", "accuracy, all together", "by source")
    return words, Table("", heading, tuple(rows))


def _by_source(figures: Json) -> str:
    return ", ".join(
        f"{source} {part['accuracy']:.3f}"
        for source, part in figures["per_source"].items()
        if part.get("accuracy") is not None
    )


def _recipes(content: Json, evaluation: Json | None) -> tuple[Block, ...]:
    rows: list[tuple[str, ...]] = []
    for name, row in content["recipes"].items():
        claims = "; ".join(str(claim["words"]) for claim in row.get("claims", ())) or "none"
        if "own" in row or "honest" in row:
            own, honest = row.get("own"), row.get("honest")
            rows.append((name, claims, _accuracy(own), _accuracy(honest), _sources_of(honest)))
            continue
        for task, words in (("three_classes", "three classes"), ("covid_normal", "COVID/normal")):
            part = row[task]
            if not part["folds_done"] and not row.get("claims"):
                continue  # a network of our own that nobody asked for
            done = f"{part['folds_done']} of {part['folds']} folds"
            rows.append(
                (
                    f"{name}, {words} ({done})",
                    claims,
                    *(_of_folds(part, key) for key in ("own", "honest")),
                    _of_classes(part),
                )
            )
    words = (
        "The systems that this project came from, beside their claims. Own protocol: split by "
        "picture, and the set that picked the epoch is the set reported. Honest protocol: split by "
        "group, test set looked at once. A time limit cut trainings short where fewer epochs are "
        "named than asked for, and a training that did not reach a fifth of them gives no figure."
    )
    heading = ("recipe", "claimed", "own protocol", "honest protocol", "honest, by source")
    return words, Table("Accuracy with 95 % interval.", heading, tuple(rows))


def _of_classes(part: Json) -> str:
    """The share of each class that was recognised, averaged over the folds."""
    shares = (part["honest"] or {}).get("recall", {})
    if _cut_short(part) is not None:
        return "–"
    named = (f"{label} {share:.3f}" for label, share in shares.items() if share is not None)
    return "recognised: " + ", ".join(named) if shares else "–"


def _cut_short(part: Json) -> Json | None:
    """A fold whose training did not go far enough, where there is one."""
    cells = part.get("cells", {}).values()
    return next((cell for cell in cells if not _says_something(cell)), None)


def _of_folds(part: Json, key: str) -> str:
    if not part[key]:
        return "–"
    cut = _cut_short(part)
    return f"cut short, epochs {_epochs(cut)}" if cut else figure(part[key], "accuracy")


def _says_something(cell: Json) -> bool:
    """Whether a training that a limit cut short went far enough to be a figure of its recipe."""
    return bool(cell["epochs_reached"] >= LEAST_EPOCHS_SHARE * cell["epochs_asked"])


def _accuracy(cell: Json | None) -> str:
    if not cell:
        return "–"
    if not _says_something(cell):
        return f"cut short, epochs {_epochs(cell)}"
    return f"{figure(cell['figures'], 'accuracy')}, epochs {_epochs(cell)}"


def _sources_of(cell: Json | None) -> str:
    return _by_source(cell["figures"]) or "–" if cell and _says_something(cell) else "–"


def _pointing(content: Json, evaluation: Json | None) -> tuple[Block, ...]:
    parts = [("all", content["all"]), *content["per_split"].items()]
    rows = tuple(
        (
            f"{split} ({part['n']})",
            words,
            *(figure(part[key], name) for name in ("hit", "near", "inside", "iou")),
        )
        for split, part in parts
        for key, words in MAPS.items()
        if key in part
    )
    words = (
        "Heatmaps against opacities that were outlined by hand. Hit: the strongest place lies in "
        "an opacity; near: within a small distance of one; inside: share of the map within; IoU: "
        "overlap at the threshold chosen on the other half of the patients."
    )
    return words, Table("", ("split", "map", "hit", "near", "inside", "IoU"), rows)


def _trust(content: Json, evaluation: Json | None) -> tuple[Block, ...]:
    report = content["report"]
    parts = [*report["per_source"].items(), ("all together", report)]
    points = tuple(
        (name, NAMES.get(label, label), _share(rates["sensitivity"]), _share(rates["specificity"]))
        for name, part in parts
        for label, rates in part["operating_points"].items()
    )
    sets = tuple(
        (name, *(_share(part["conformal"][key]) for key in CONFORMAL), *_verdicts(part["shortcut"]))
        for name, part in parts
    )
    words = (
        f"Fitted on the split {content.get('fitted_on', '–')} and measured on those same pictures: "
        "expect a little less elsewhere."
    )
    return (
        words,
        Table(
            "Default operating points.", ("source", "class", "sensitivity", "specificity"), points
        ),
        Table(
            "Prediction sets, and answers that the shortcut meter marks.",
            ("source", "coverage", "certain", "right where certain", "unreliable", "not known"),
            sets,
        ),
    )


def _ceiling(content: Json, evaluation: Json | None) -> tuple[Block, ...]:
    called, confident, curve = content["called_normal"], content["confident"], content["curve"]
    rows = [
        (
            f"Known: {content['contradicted']} of {content['pictures']} films are called "
            "pneumonia here and normal in another collection. Right about all others, one reaches",
            _share(content["ceiling"]),
        ),
        (
            "Of these films, heads that know neither label call normal",
            _share(called["contradicted"]),
        ),
        ("Of the other pneumonias they call normal", _share(called["others_of_their_class"])),
        ("Their accuracy on all films", _share(content["accuracy"])),
        ("Without the contradicted ones", _share(content["accuracy_without_contradicted"])),
        (
            "With the other collection's reading of these",
            _share(content["accuracy_as_the_other_collection_reads"]),
        ),
        (
            "Estimated: labels that are likely wrong, by confident disagreement on unseen films "
            "(Northcutt et al. 2021)",
            _share(confident["wrong_labels"]),
        ),
        ("Which leaves as highest accuracy", _share(confident["ceiling"])),
        (
            "Two heads that share no film are right about",
            _share(content["twins"]["accuracy"]),
        ),
        ("And agree with each other about", _share(content["twins"]["agreement"])),
        *(
            (f"Accuracy, learnt from {point['pictures']} films", _share(point["accuracy"]))
            for point in curve["points"]
        ),
        ("Where that leads with endlessly many (a − b/√n)", _share(curve["limit"])),
    ]
    words = (
        "The pneumonias of these folds were labelled by a program that read reports, and the paper "
        "claims 87.02 % in three classes. How much of that is there to be had? Heads on whole "
        "films, each tested on a fold of which it knows no film and no patient."
    )
    return words, Table("", ("", "share"), tuple(rows))


def _gate(content: Json, evaluation: Json | None) -> tuple[Block, ...]:
    rows = [
        (name, *(str(part[key]) for key in GATES), f"{part[GATES[-1]] / part['shown']:.1%}")
        for name, part in (*content["families"].items(), ("all together", content["all"]))
    ]
    words = (
        "Pictures of other parts and modalities, photographs, drawings, text, noise and plain "
        "colours, shown to everything that stands before an answer. How many real X-rays it "
        "refuses stands above."
    )
    heading = ("what", "pictures", "refused by file and quality", "with posture", "refused")
    return words, Table("", heading, tuple(rows))


GATES: Final = ("shown", "refused", "refused_with_posture")
CONFORMAL: Final = ("coverage", "certain", "accuracy_of_certain")


def _verdicts(shortcut: Json) -> tuple[str, str]:
    total = sum(shortcut[key]["n"] for key in ("reliable", "unreliable", "unknown"))
    return (
        f"{shortcut['unreliable']['n']} of {total}",
        f"{shortcut['unknown']['n']} of {total}",
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


SECTIONS: Final[dict[str, tuple[str, Callable[[Json, Json | None], tuple[Block, ...]]]]] = {
    "sources": ("Trained without a source, tested on it", _sources),
    "baselines": ("Shortcuts: how far one gets without the lungs", _baselines),
    "pointing": ("Does the heatmap point at disease?", _pointing),
    "trust": ("Operating points, certainty and the shortcut meter", _trust),
    "gate": ("What the gate keeps out", _gate),
    "recipes": ("Recipes beside their claims", _recipes),
    "ceiling": ("How high the folds of DarkCovidNet go", _ceiling),
}
