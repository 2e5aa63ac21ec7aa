"""The pictures of a local calibration, drawn on the server as the model card's are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ml.figures import LEFT, SIDE, TOP, Canvas
from screening.governance.calibration import Calibration
from screening.governance.reliability import Bin
from screening.governance.roc import Counts, counts_at

MOST_POINTS = 300
DASH = "6 3"


def roc_drawing(found: Calibration) -> SafeString:
    """The curve, chance, the point in force (filled) and the proposed one (a ring)."""
    curve, area = found.curve, found.area
    if curve is None or area is None:
        return SafeString("")
    canvas = Canvas()
    canvas.square(_("1 − specificity"), _("sensitivity"))
    canvas.line([(0.0, 0.0), (1.0, 1.0)], "currentColor", dash="1 4", width=1.0)
    canvas.line(_thinned(curve.points()), "#0b6471", kind="accent")
    words = [_("ROC curve, area %(area).3f") % {"area": area.value}]
    now = found.at_point_in_force
    number = 0
    if now is not None:
        number += 1
        canvas.dot(*_place(now), 5.5)
        _legend(canvas, number, _("in force"), ring=False)
        words.append(_("in force: %(place)s") % {"place": _in_words(now)})
    if found.proposal is not None:
        number += 1
        _ring(canvas, *_place(found.proposal.counts))
        _legend(canvas, number, _("proposed"), ring=True)
        words.append(_("proposed: %(place)s") % {"place": _in_words(found.proposal.counts)})
    return SafeString(canvas.done("", "; ".join(words)).inline())


def reliability_drawing(bins: Sequence[Bin]) -> SafeString:
    """Observed shares with their intervals over predicted ones; a dot's area is its cases."""
    canvas = Canvas()
    canvas.square(_("probability the model gave"), _("share that had it"))
    canvas.line([(0.0, 0.0), (1.0, 1.0)], "currentColor", dash="1 4", width=1.0)
    most = max(one.cases for one in bins)
    for one in bins:
        low, high = one.observed_ci
        canvas.line([(one.predicted, low), (one.predicted, high)], "currentColor", width=1.2)
    for one in bins:
        canvas.dot(one.predicted, one.observed, 2.5 + 6.5 * (one.cases / most) ** 0.5)
    words = "; ".join(
        _("given %(given).2f, had it %(had).2f, n = %(n)s")
        % {"given": one.predicted, "had": one.observed, "n": one.cases}
        for one in bins
    )
    return SafeString(canvas.done("", words).inline())


def predictive_drawing(found: Calibration) -> SafeString:
    """PPV and NPV over the threshold, at the prevalence assumed."""
    canvas = Canvas()
    canvas.square(_("threshold"), _("share"))
    thresholds = np.linspace(0.0, 1.0, 101)[1:-1].tolist()
    every = [
        (threshold, counts_at(found.cases, threshold).figures(found.question.prevalence))
        for threshold in thresholds
    ]
    ppv = [(threshold, one.ppv) for threshold, one in every if one.ppv is not None]
    npv = [(threshold, one.npv) for threshold, one in every if one.npv is not None]
    canvas.line(ppv, "#0b6471", kind="accent")
    canvas.line(npv, "currentColor", dash=DASH)
    x, y = LEFT + SIDE - 62, TOP + SIDE - 40
    for name, colour, kind, dash, down in (
        ("PPV", "#0b6471", ' class="figure-accent"', "", 0),
        ("NPV", "currentColor", "", f' stroke-dasharray="{DASH}"', 18),
    ):
        canvas.parts.append(
            f'<line{kind} x1="{x}" y1="{y + down}" x2="{x + 24}" y2="{y + down}" '
            f'stroke="{colour}" stroke-width="2"{dash}/>'
        )
        canvas.text(x + 30, y + down + 4, name)
    alt = _("PPV and NPV over the threshold; the numbers are in the table of thresholds")
    return SafeString(canvas.done("", alt).inline())


def _place(counts: Counts) -> tuple[float, float]:
    return 1.0 - (counts.specificity or 0.0), counts.sensitivity or 0.0


def _in_words(counts: Counts) -> str:
    return _("sensitivity %(found).3f, specificity %(cleared).3f") % {
        "found": counts.sensitivity or 0.0,
        "cleared": counts.specificity or 0.0,
    }


def _ring(canvas: Canvas, x: float, y: float) -> None:
    _circle(canvas, LEFT + SIDE * x, TOP + SIDE * (1 - y), 8.0)


def _circle(canvas: Canvas, cx: float, cy: float, radius: float) -> None:
    canvas.parts.append(
        f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{radius}" fill="none" stroke="currentColor" '
        'stroke-width="2"/>'
    )


def _legend(canvas: Canvas, number: int, words: str, *, ring: bool) -> None:
    """Which mark is which, in the plot's empty lower right."""
    x, y = LEFT + SIDE - 78, TOP + SIDE - 48 + 18 * number
    if ring:
        _circle(canvas, x, y, 5.5)
    else:
        canvas.parts.append(
            f'<circle class="figure-accent-fill" cx="{x}" cy="{y}" r="5" fill="#0b6471"/>'
        )
    canvas.text(x + 12, y + 4, words)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """So many points that the eye sees no difference; the ends stay."""
    if len(points) <= MOST_POINTS:
        return points
    along = np.array([x + y for x, y in points])  # rises from 0 to 2
    chosen = np.unique(np.searchsorted(along, np.linspace(0.0, 2.0, MOST_POINTS) - 1e-9))
    kept = {*chosen.tolist(), len(points) - 1}
    return [points[number] for number in sorted(kept)]
