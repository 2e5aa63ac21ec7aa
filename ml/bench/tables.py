"""The tables that the benches print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def align(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first line is the heading."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def recipes_table(result: dict[str, Any]) -> str:
    """Claimed, own, honest and per source, one line a recipe."""
    lines = [
        [
            "recipe",
            "claimed",
            "own protocol",
            "honest",
            "epochs",
            "honest, by source or class",
        ]
    ]
    for name, row in result["recipes"].items():
        claims = [claim["words"] for claim in row.get("claims", ())]
        if "own" in row or "honest" in row:
            own, honest = row["own"], row["honest"]
            lines.append(
                [
                    name,
                    claims[0] if claims else "none",
                    _accuracy_and_auc(own and own["figures"]),
                    _accuracy_and_auc(honest and honest["figures"]),
                    f"{_epochs(own)}, {_epochs(honest)}",
                    _by_source(honest and honest["figures"]),
                ]
            )
            continue
        for number, (task, words) in enumerate(
            (("three_classes", "3 classes"), ("covid_normal", "covid/normal"))
        ):
            part = row[task]
            first = next(iter(part["cells"].values()), None)
            lines.append(
                [
                    f"{name}, {words}",
                    claims[number] if number < len(claims) else "none",
                    _accuracy(part["own"]),
                    _accuracy(part["honest"]),
                    f"{_epochs(first)}, {part['folds_done']}/{part['folds']} folds",
                    _by_recall(part["honest"]) or _by_source(part["test_split"]),
                ]
            )
    notes = [
        "Accuracy with its 95 % interval, AUC of COVID-19.",
        "Own protocol: split by image, validation = test. Honest: split by group, test set seen "
        "once.",
        "Epochs: reached of asked, by each protocol. A training that a time limit cut short is no "
        "measure of a recipe, least of all one of hardly an epoch.",
    ]
    return "\n".join([align(lines), "", *notes])


def baselines_table(result: dict[str, Any]) -> str:
    """Accuracy of each baseline on the test split, in all and by source."""
    lines = [["baseline", "model", "test accuracy", "by source"]]
    for name, models in result["baselines"].items():
        if "note" in models:
            lines.append([name, "–", models["note"], "–"])
            continue
        for model, figures in models.items():
            lines.append([name, model, _accuracy(figures["test"]), _by_source(figures["test"])])
    return align(lines)


def sources_table(result: dict[str, Any]) -> str:
    """One line for each left-out source."""
    lines = [
        [
            "left out",
            "pictures",
            "epochs",
            "accuracy",
            "AUC covid/normal",
            "AUC covid/pneum.",
            "AUC pneum./normal",
        ]
    ]
    for name, cell in result["left_out"].items():
        if cell.get("figures") is None:
            lines.append([name, "–", _epochs(cell), cell.get("note", "–"), "–", "–", "–"])
            continue
        figures = cell["figures"]
        pairs = figures["pairs"]
        lines.append(
            [
                name,
                str(figures["n"]),
                _epochs(cell),
                _number(figures, "accuracy"),
                _number(pairs["covid_normal"], "auc"),
                _number(pairs["covid_pneumonia"], "auc"),
                _number(pairs["pneumonia_normal"], "auc"),
            ]
        )
    return align(lines)


def ceiling_table(result: dict[str, Any]) -> str:
    """What is known and what is estimated of the highest accuracy, a line each."""
    called, confident, twins = result["called_normal"], result["confident"], result["twins"]
    lines = [
        ["films, contradicted", f"{result['pictures']}, {result['contradicted']}"],
        ["highest accuracy beside the contradictions", _plain(result["ceiling"])],
        ["highest accuracy, by confident disagreement", _plain(confident["ceiling"])],
        ["accuracy", _plain(result["accuracy"])],
        ["the same without contradicted films", _plain(result["accuracy_without_contradicted"])],
        ["contradicted films called normal", _plain(called["contradicted"])],
        ["others of their class called normal", _plain(called["others_of_their_class"])],
        ["two heads that share no film: right", _plain(twins["accuracy"])],
        ["two heads that share no film: agree", _plain(twins["agreement"])],
    ]
    lines += [
        [f"learnt from {point['pictures']} films", _plain(point["accuracy"])]
        for point in result["curve"]["points"]
    ]
    lines.append(["learnt from endlessly many, by the curve", _plain(result["curve"]["limit"])])
    return align([["folds of DarkCovidNet, three classes", ""], *lines])


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _accuracy(figures: dict[str, Any] | None) -> str:
    return "–" if not figures else _number(figures, "accuracy")


def _accuracy_and_auc(figures: dict[str, Any] | None) -> str:
    if not figures:
        return "–"
    area = figures["per_class"]["covid"]["auc"]
    return _accuracy(figures) + (f" AUC {area:.3f}" if area is not None else "")


def _number(part: dict[str, Any], key: str) -> str:
    value, interval = part.get(key), part.get(f"{key}_ci")
    if value is None:
        return "–"
    return f"{value:.3f} [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else f"{value:.3f}"


def _by_source(figures: dict[str, Any] | None) -> str:
    if not figures:
        return "–"
    return ", ".join(
        f"{source} {part['accuracy']:.2f}"
        for source, part in figures["per_source"].items()
        if part.get("accuracy") is not None
    )


def _by_recall(figures: dict[str, Any] | None) -> str:
    """What share of each class was recognised, averaged over the folds."""
    shares = (figures or {}).get("recall", {})
    return ", ".join(f"{label} {share:.2f}" for label, share in shares.items() if share is not None)


def _epochs(cell: dict[str, Any] | None) -> str:
    if not cell:
        return "–"
    cut = " cut" if cell.get("stopped") == "minutes" else ""
    return f"{cell['epochs_reached']:g}/{cell['epochs_asked']}{cut}"
