"""The model card: what a released model is for, what it learnt from, how well it does, and where
not.

The card is made of what was recorded: the package's manifest, evaluations, benches. No figure is
typed by hand. It is a list of sections of plain blocks, which ``ml.card_file`` writes as Markdown
and the portal as a page. In-source accuracy is never the headline: the first figures shown are the
worst.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ml import CLASSES
from ml.figures import (
    NAMES,
    Picture,
    Span,
    confusion_picture,
    reliability_picture,
    roc_picture,
    spans_picture,
)

Json = Mapping[str, Any]

NOT_MEASURED: Final = "Not measured yet."
FEWEST: Final = 5
"""So many pictures must stand behind a figure that is to be called the worst."""
CONFOUNDING: Final = (
    "These are the worst figures on purpose. In public collections the class of a picture is tied "
    "to where it comes from: the hospital, the machine, the age of the patients, even the file's "
    "history. A network learns such signs as readily as disease, and then does well on further "
    "pictures of the same collections without having understood the lungs. Accuracy over all "
    "sources together is therefore no evidence of what it does in another hospital, and it is "
    "shown last. Measure the model on your own labelled pictures before you rely on it."
)
INTENDED: Final = (
    "Decision support for clinicians who read frontal chest X-rays: a second look that says which "
    "of three classes a picture resembles most. A clinician reads every X-ray and decides.",
    "Not a diagnosis, not a medical device, not cleared for clinical use. Not for triage without a "
    "reader, not for lateral views, CT or any other kind of picture, and not as a replacement for "
    "a laboratory test.",
)
LIMITS: Final = (
    "It knows three classes. A picture of any other disease gets one of the three all the same.",
    "COVID-19 is a laboratory diagnosis: some of its films look normal, and some normal-looking "
    "films are of the ill.",
    "The heatmap shows which places counted most towards the answer. It does not outline disease.",
    "A low share is not an all-clear.",
)


@dataclass(frozen=True, slots=True)
class Table:
    """A heading line and lines of text, the first cell of each naming it."""

    caption: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    items: tuple[str, ...]


Block = str | Table | Items | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the card under one heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """The whole card."""

    title: str
    sections: tuple[Section, ...]


def build_card(
    manifest: Json,
    evaluations: Sequence[Json] = (),
    more: Sequence[Section] = (),
    worst: Sequence[tuple[str, str, str, str]] = (),
) -> Card:
    """The card of one released model.

    :param manifest: the package's manifest.
    :param evaluations: what ``ml evaluate --json`` wrote of this model; none takes what the
        manifest recorded at its release.
    :param more: further sections, such as the benches'.
    :param worst: further lines for the very first table: what, where, figure, pictures.
    """
    shown = [one for one in evaluations or recorded_evaluations(manifest) if one["n"]]
    sections = [
        _first(shown, worst),
        _model(manifest),
        Section("Intended use", INTENDED),
        Section("Limits", (Items((*_said(manifest, "limits"), *LIMITS)),)),
        _data(manifest, shown),
        *(part for one in shown for part in _evaluation(one, alone=len(shown) == 1)),
        _calibration(manifest),
        *more,
        _training(manifest),
    ]
    return Card(f"Model card: {model_name(manifest)}", tuple(sections))


def model_name(manifest: Json) -> str:
    """Name and version."""
    return f"{manifest.get('name', 'a model')} {manifest.get('version', '')}".strip()


def recorded_evaluations(manifest: Json) -> list[Json]:
    """The evaluation that the manifest carries: of the test split, else of any other."""
    metrics = manifest.get("metrics") or {}
    for split in ("test", *metrics):
        if metrics.get(split, {}).get("n"):
            return [metrics[split]]
    return []


def figure(part: Json, key: str) -> str:
    """A figure with its 95 % interval, or a dash where it is undefined."""
    value, interval = part.get(key), part.get(f"{key}_ci")
    if value is None:
        return "–"
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else f"{value:.3f}"


def pair_name(pair: str) -> str:
    """``covid_normal`` in words."""
    first, _, second = pair.partition("_")
    return f"{NAMES.get(first, first)} against {NAMES.get(second, second).lower()}"


def where(evaluation: Json) -> str:
    """Which pictures an evaluation was made on."""
    split = evaluation.get("split")
    file = evaluation.get("manifest")
    return (f"split {split}" if split else "all rows") + (f" of {file}" if file else "")


def sources_of(evaluation: Json) -> list[tuple[str, Json]]:
    """The sources with figures, the least accurate first."""
    parts = [(name, part) for name, part in evaluation.get("per_source", {}).items() if part["n"]]
    return sorted(parts, key=lambda one: (one[1].get("accuracy") or 0.0, one[0]))


def worst_figures(evaluation: Json) -> list[tuple[str, str, str, int]]:
    """What did worst, as (what, where, figure, pictures): accuracy, sensitivity, AUC of a pair."""
    accuracy, sensitivity, area = [], [], []
    for source, part in sources_of(evaluation):
        classes = part["per_class"]
        if part["n"] >= FEWEST and part["accuracy"] is not None:
            accuracy.append((part["accuracy"], "accuracy", source, part, "accuracy", part["n"]))
        for label, one in classes.items():
            if one["n"] >= FEWEST and one["sensitivity"] is not None:
                what = f"sensitivity for {NAMES.get(label, label)}"
                found = (one["sensitivity"], what, source, one, "sensitivity", one["n"])
                sensitivity.append(found)
        for pair, one in part["pairs"].items():
            sides = [classes[label]["n"] for label in pair.split("_")]
            if one["auc"] is not None and min(sides) >= FEWEST:
                what = f"AUC, {pair_name(pair)}"
                area.append((one["auc"], what, source, one, "auc", sum(sides)))
    worst = [
        min(found, key=lambda one: one[:3]) for found in (sensitivity, accuracy, area) if found
    ]
    return [(what, source, figure(part, key), n) for _, what, source, part, key, n in worst]


def _first(shown: Sequence[Json], worst: Sequence[tuple[str, str, str, str]]) -> Section:
    blocks: list[Block] = []
    for number, one in enumerate(shown):
        rows = tuple(
            (f"Lowest {what}", source, value, str(n))
            for what, source, value, n in worst_figures(one)
        ) + (tuple(worst) if number == 0 else ())
        caption = (
            f"The worst of any source, {where(one)}, with 95 % interval; only figures behind which "
            f"{FEWEST} pictures or more of each class stand."
        )
        if rows:
            blocks.append(Table(caption, ("figure", "source", "value", "pictures"), rows))
        else:
            blocks.append(f"On {where(one)} no source is named, so nothing can be told by source.")
    if not shown:
        blocks.append(f"{NOT_MEASURED} This version carries no figures.")
    return Section("Read this first", (*blocks, CONFOUNDING))


VIEWS: Final = {
    "whole": "One, at the whole film",
    "lungs": "Three, their mean is the answer: the whole film, the rectangle around the lungs, and "
    "the lungs alone",
}
"""By ``ml.package.View``."""


def _model(manifest: Json) -> Section:
    taken = manifest.get("input") or {}
    size, view = taken.get("size"), VIEWS.get(taken.get("view", "whole"), "–")
    rows = [
        ("Name", str(manifest.get("name", "–"))),
        ("Version", str(manifest.get("version", "–"))),
        ("Released", str(manifest.get("created", "–"))),
        ("Classes", ", ".join(NAMES.get(label, label) for label in manifest.get("classes", ()))),
        ("Input", f"{size} × {size} pixels of grey" if size else "–"),
        ("Looks", view),
        ("Preprocessing version", str(manifest.get("preprocessing_version", "–"))),
    ]
    rows += [(f"SHA-256 of {name}", value) for name, value in hashes_of(manifest).items()]
    return Section("The model", (Table("", ("", ""), tuple(rows)),))


def hashes_of(manifest: Json) -> dict[str, str]:
    """The hash of each file of the package."""
    return {str(name): str(value) for name, value in (manifest.get("sha256") or {}).items()}


def _said(manifest: Json, key: str) -> tuple[str, ...]:
    return (str(manifest[key]),) if manifest.get(key) else ()


def _data(manifest: Json, shown: Sequence[Json]) -> Section:
    training = manifest.get("training") or {}
    learnt, selected = training.get("counts") or {}, training.get("selection_counts") or {}
    measured: dict[str, int] = {}
    for source, part in (shown[0].get("per_source") or {}).items() if shown else ():
        for label, one in (part.get("per_class") or {}).items():
            if one["n"]:
                measured[f"{source}/{label}"] = one["n"]
    cells = sorted({*learnt, *selected, *measured})
    if not cells:
        return Section("Data", ("This version does not say what it learnt from.",))
    rows = tuple(
        (*_cell(cell), *(str(counts.get(cell, 0)) for counts in (learnt, selected, measured)))
        for cell in cells
    )
    total = tuple(str(sum(counts.values())) for counts in (learnt, selected, measured))
    blocks: list[Block] = [
        Table(
            "Pictures by source and class.",
            ("source", "class", "learnt from", "chosen and calibrated on", "measured on"),
            (*rows, ("all", "", *total)),
        ),
        *_said(training, "bench"),
    ]
    licences = next((one["data"]["licences"] for one in shown if "data" in one), None)
    if licences is None:
        blocks.append("The licence of each source was not recorded with these figures.")
    else:
        blocks.append(
            Table(
                "Licences as the data set's manifest gives them, with the pictures under each. "
                "They bind whoever trains on these pictures, which are not part of the package.",
                ("source", "licences"),
                tuple(
                    (source, "; ".join(f"{name}: {n}" for name, n in found.items()))
                    for source, found in licences.items()
                ),
            )
        )
    return Section("Data", tuple(blocks))


def _cell(cell: str) -> tuple[str, str]:
    source, _, label = cell.rpartition("/")
    return source, NAMES.get(label, label)


def _evaluation(one: Json, *, alone: bool) -> list[Section]:
    """Figures by source, then each source's pictures, the least accurate first."""
    of = "" if alone else f" ({where(one)})"
    parts = sources_of(one)
    everything: list[tuple[str, Json]] = [*parts, ("all together", one)]
    boot = one.get("bootstrap") or {}
    blocks: list[Block] = [
        f"Measured on {where(one)}, with the thresholds of the release. Intervals are 95 % "
        f"bootstrap intervals ({boot.get('resamples', '–')} resamples by "
        f"{boot.get('unit', 'group')}). A figure from a handful of pictures says little: read its "
        "interval.",
        Table(
            "By source, the least accurate first.",
            ("source", "pictures", "accuracy", "macro-F1", "calibration error (ECE)"),
            tuple(
                (name, str(p["n"]), figure(p, "accuracy"), figure(p, "macro_f1"), figure(p, "ece"))
                for name, p in everything
            ),
        ),
        Table(
            "By source and class.",
            ("source", "class", "pictures", "sensitivity", "specificity", "AUC"),
            tuple(
                (
                    name,
                    NAMES.get(label, label),
                    str(figures["n"]),
                    *(figure(figures, key) for key in ("sensitivity", "specificity", "auc")),
                )
                for name, part in everything
                for label, figures in part["per_class"].items()
                if figures["n"]
            ),
        ),
        Table(
            "Two classes against each other, where a source has both.",
            ("source", "pair", "pictures", "AUC"),
            tuple(
                (name, pair_name(pair), _sides(part, pair), figure(figures, "auc"))
                for name, part in everything
                for pair, figures in part["pairs"].items()
                if figures["auc"] is not None
            ),
        ),
    ]
    spans = [
        Span(f"{name} ({part['n']})", part["accuracy"], *part["accuracy_ci"])
        for name, part in everything
        if part["accuracy"] is not None and part["accuracy_ci"]
    ]
    if drawn := spans_picture(f"Accuracy by source, with 95 % interval{of}", spans):
        blocks.append(drawn)
    sections = [Section(f"Figures by source ({where(one)})", tuple(blocks))]
    pictures = [drawn for name, part in everything for drawn in _pictures(name + of, part)]
    if not any("roc" in part for _, part in everything):
        pictures.append("ROC curves and calibration plots were not recorded with these figures.")
    sections.append(Section(f"Curves and confusion ({where(one)})", tuple(pictures)))
    sections.append(_people(one))
    sections.append(_refused(one, everything))
    return sections


def _sides(part: Json, pair: str) -> str:
    return " + ".join(str(part["per_class"][label]["n"]) for label in pair.split("_"))


def _pictures(name: str, part: Json) -> list[Block]:
    # a curve through one or two pictures would look like a finding
    enough = {
        label: curve
        for label, curve in part.get("roc", {}).items()
        if part["per_class"][label]["n"] >= FEWEST
    }
    drawn = [
        roc_picture(f"ROC, {name}", enough),
        reliability_picture(f"Calibration, {name}", part["reliability"])
        if "reliability" in part
        else None,
        confusion_picture(f"Confusion, {name}", part["classes"], part["confusion"]),
    ]
    return [picture for picture in drawn if picture is not None]


def _people(one: Json) -> Section:
    rows = [
        (kind, name, str(part["n"]), figure(part, "accuracy"), figure(part, "macro_f1"))
        for kind, key in (("sex", "per_sex"), ("age", "per_age"))
        for name, part in (one.get(key) or {}).items()
        if part["n"]
    ]
    title = f"By sex and age ({where(one)})"
    if not rows:
        return Section(title, (NOT_MEASURED,))
    known = sum(part["n"] for part in (one.get("per_sex") or {}).values())
    table = Table(
        f"Where the data set tells it: the sex is known of {known} of {one['n']} pictures.",
        ("", "group", "pictures", "accuracy", "macro-F1"),
        tuple(rows),
    )
    return Section(title, (table,))


def _refused(one: Json, everything: Sequence[tuple[str, Json]]) -> Section:
    rows = tuple(
        (
            name,
            str(part["n"]),
            str(part["quality_refused"]["n"]),
            ", ".join(f"{code}: {n}" for code, n in part["quality_refused"]["codes"].items())
            or "–",
            str(part.get("unfamiliar", {}).get("n", "–")),
            str(part["errors"]["n"]),
        )
        for name, part in everything
        if "quality_refused" in part
    )
    table = Table(
        "Real X-rays that the quality gate would refuse, and those that it would let in but mark, "
        "for they are unlike the films learnt from. They are scored above all the same.",
        ("source", "pictures", "refused", "reasons", "marked unfamiliar", "could not be read"),
        rows,
    )
    return Section(f"Quality gate ({where(one)})", (table,))


def _calibration(manifest: Json) -> Section:
    found = manifest.get("calibration") or {}
    if not found:
        return Section("Calibration", (NOT_MEASURED,))
    bias = zip(manifest.get("classes") or CLASSES, found.get("bias", ()), strict=False)
    rows = [("Temperature", _plain(found.get("temperature")))]
    rows += [(f"Bias of {NAMES.get(label, label)}", _plain(value)) for label, value in bias]
    rows += [
        (name, f"{_plain(found.get(f'{key}_before'))} → {_plain(found.get(f'{key}_after'))}")
        for name, key in (("Log loss", "log_loss"), ("Calibration error", "ece"))
        if f"{key}_before" in found
    ]
    words = f"Fitted on the split {found.get('fitted_on', '–')}; before → after."
    return Section("Calibration", (Table(words, ("", ""), tuple(rows)),))


def _plain(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "–"


def _training(manifest: Json) -> Section:
    training = manifest.get("training") or {}
    config = training.get("config") or {}
    if not config:
        return Section("How it was trained", ("This version does not say.",))
    backbone = training.get("backbone") or {}
    facts = [
        ("Chosen by", training.get("selected_by")),
        ("Best epoch", training.get("best_epoch")),
        ("Ridge", training.get("ridge")),
        ("Backbone, not trained here", backbone.get("from")),
    ]
    rows = [(name, str(value)) for name, value in facts if value is not None]
    rows += [(name.replace("_", " "), str(value)) for name, value in config.items()]
    words = _said(training, "note")
    return Section("How it was trained", (*words, Table("Last stage.", ("", ""), tuple(rows))))
