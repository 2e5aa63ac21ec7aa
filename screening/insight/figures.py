"""The figures of the dashboard, each made from the same material."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from screening.insight import charts
from screening.insight.charts import Series
from screening.insight.counting import Counts, overrides
from screening.insight.doubt_figure import doubts
from screening.insight.drift_figures import answer_drift, image_drift
from screening.insight.figure import (
    CLASSES,
    FEWEST,
    LOOKS,
    Column,
    Figure,
    Material,
    axis_of,
    line_key,
    when,
    written,
)
from screening.insight.reasons import name_of


def studies(material: Material) -> Figure:
    steps = material.steps
    title = _("Studies a day") if material.by_day else _("Studies a week")
    values = [counts.studies for _b, counts in steps]
    words = _("%(total)s studies arrived; %(most)s at most, %(least)s at least.") % {
        "total": sum(values),
        "most": max(values, default=0),
        "least": min(values, default=0),
    }
    return Figure(
        key="studies",
        title=title,
        words=words,
        picture=charts.columns(
            "studies", title, words, axis_of(steps), [Series(title, "series-accent", values)]
        ),
        columns=[
            when(material.by_day),
            Column("studies", _("Studies")),
            Column("images", _("Images")),
        ],
        rows=[(bucket.first, counts.studies, counts.images) for bucket, counts in steps],
    )


def waits(material: Material) -> Figure:
    title = _("Time to result")
    half = [counts.wait_quantile(0.5) for _b, counts in material.steps]
    most = [counts.wait_quantile(0.95) for _b, counts in material.steps]
    series = [
        Series(_("half of them within (p50)"), "series-accent", half),
        Series(_("95 % within (p95)"), "series-warn", most),
    ]
    p50, p95 = material.total.wait_quantile(0.5), material.total.wait_quantile(0.95)
    words = _(
        "From the arrival of an image to its first result: half within %(p50)s, "
        "95 %% within %(p95)s."
    ) % {
        "p50": written(p50, "seconds"),
        "p95": written(p95, "seconds"),
    }
    return Figure(
        key="waits",
        title=title,
        words=words,
        picture=charts.lines("waits", title, words, axis_of(material.steps), series, unit=" s"),
        legend=line_key(series),
        columns=[
            when(material.by_day),
            Column("results", _("Results")),
            Column("p50_seconds", _("p50"), "seconds"),
            Column("p95_seconds", _("p95"), "seconds"),
        ],
        rows=[
            (bucket.first, sum(counts.waits.values()), a, b)
            for (bucket, counts), a, b in zip(material.steps, half, most, strict=True)
        ],
    )


def classes(material: Material) -> Figure:
    title = _("What the model answered")
    shown = material.told
    series = [
        Series(
            str(label.label),
            css,
            [c.labels[label.value] / c.results if c.results else None for c in shown],
        )
        for label, css in CLASSES
    ]
    all_shown = Counts.total(shown)
    words = _("Share of each class among %(n)s answers: %(shares)s.") % {
        "n": all_shown.results,
        "shares": ", ".join(
            f"{label.label} {written(all_shown.labels[label.value] / all_shown.results, 'share')}"
            for label, _css in CLASSES
            if all_shown.results
        )
        or "–",
    }
    return Figure(
        key="classes",
        title=title,
        words=words,
        picture=charts.columns(
            "classes", title, words, axis_of(material.weeks), series, unit="%", full=1.0
        ),
        legend=[(charts.key_column(one.css), one.name) for one in series],
        columns=[
            when(False),
            *(Column(label.value, str(label.label)) for label, _css in CLASSES),
            Column("models", _("Answered by"), "text"),
        ],
        rows=[
            (
                bucket.first,
                *(c.labels[label.value] if c.results else None for label, _css in CLASSES),
                ", ".join(sorted(c.models)) or None,
            )
            for (bucket, _counts), c in zip(material.weeks, shown, strict=True)
        ],
        note="" if material.may_tell else _few_note(),
    )


def _few_note() -> str:
    return ngettext(
        "This site reads blind first: weeks with fewer than %(n)s answer are left empty, "
        "and today is not counted.",
        "This site reads blind first: weeks with fewer than %(n)s answers are left empty, "
        "and today is not counted.",
        FEWEST,
    ) % {"n": FEWEST}


def reasons(material: Material) -> Figure:
    title = _("Without an answer")
    total = material.total
    rates = [
        (
            c.statuses["refused"] / c.images if c.images else None,
            c.statuses["failed"] / c.images if c.images else None,
        )
        for _b, c in material.weeks
    ]
    series = [
        Series(_("Refused by the quality check"), "series-warn", [a for a, _f in rates]),
        Series(_("Failed"), "series-bad", [b for _r, b in rates]),
    ]
    refused, failed = sum(total.refusals.values()), sum(total.failures.values())
    words = _("Of %(images)s images %(refused)s were refused and %(failed)s failed.") % {
        "images": total.images,
        "refused": refused,
        "failed": failed,
    }
    rows = [
        (kind, name_of(code), code, number, number / total.images if total.images else None)
        for kind, counter in ((_("Refused"), total.refusals), (_("Failed"), total.failures))
        for code, number in counter.most_common()
    ]
    return Figure(
        key="reasons",
        title=title,
        words=words,
        picture=charts.lines("reasons", title, words, axis_of(material.weeks), series, unit="%"),
        legend=line_key(series),
        columns=[
            Column("outcome", _("Outcome"), "text"),
            Column("reason", _("Reason"), "text"),
            Column("code", _("Code"), "text"),
            Column("images", _("Images")),
            Column("share", _("Share"), "share"),
        ],
        rows=rows,
    )


def override_rate(material: Material) -> Figure:
    title = _("Readings against the AI")
    pairs = [overrides(counts) for _b, counts in material.weeks]
    series = [
        Series(
            _("Share of signed readings that override the AI"),
            "series-accent",
            [over / of if of else None for over, of in pairs],
        )
    ]
    over, of = overrides(material.total)
    words = _("%(over)s of %(of)s signed readings override the AI’s answer.") % {
        "over": over,
        "of": of,
    }
    return Figure(
        key="overrides",
        title=title,
        words=words,
        picture=charts.lines("overrides", title, words, axis_of(material.weeks), series, unit="%"),
        columns=[
            when(False),
            Column("overrides", _("Overrides")),
            Column("signed", _("Signed beside an answer")),
            Column("share", _("Share"), "share"),
        ],
        rows=[
            (bucket.first, over, of, over / of if of else None)
            for (bucket, _counts), (over, of) in zip(material.weeks, pairs, strict=True)
        ],
        note=_(
            "By the week in which the study arrived. Only readings that were signed beside an "
            "answer count."
        ),
    )


def looks(material: Material) -> Figure:
    title = _("How the images look")
    names = ("mean_grey", "contrast", "sharpness")
    styles = ("series-accent", "series-warn", "series-note")
    series = [
        Series(str(LOOKS[name]), css, [counts.mean(name) for _b, counts in material.weeks])
        for name, css in zip(names, styles, strict=True)
    ]
    words = _("Weekly means; greys from 0 (black) to 1 (white).")
    kinds = sorted(material.total.formats)
    return Figure(
        key="images",
        title=title,
        words=words,
        picture=charts.lines("images", title, words, axis_of(material.weeks), series),
        legend=line_key(series),
        columns=[
            when(False),
            *(Column(name, str(LOOKS[name]), "number") for name in names),
            Column("megapixels", _("Megapixels"), "number"),
            *(Column(f"files_{kind}", kind.upper()) for kind in kinds),
        ],
        rows=[
            (
                bucket.first,
                *(counts.mean(name) for name in names),
                counts.mean("megapixels"),
                *(counts.formats[kind] for kind in kinds),
            )
            for bucket, counts in material.weeks
        ],
    )


FIGURES: dict[str, Callable[[Material], Figure]] = {
    "studies": studies,
    "waits": waits,
    "classes": classes,
    "doubts": doubts,
    "reasons": reasons,
    "overrides": override_rate,
    "answer-drift": answer_drift,
    "image-drift": image_drift,
    "images": looks,
}
