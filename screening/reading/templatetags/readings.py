"""What the study page shows of readings."""

from __future__ import annotations

from typing import Any

from django import template

from screening.inference.models import Label
from screening.reading.measurements import Measured, measured_in
from screening.reading.models import Reading
from screening.reading.panel import panel_for
from screening.studies.models import Image, Study

register = template.Library()


@register.inclusion_tag("reading/panel.html", takes_context=True)
def reading_panel(context: template.Context, study: Study) -> dict[str, Any]:
    """The readings of ``study`` and a form for one's own."""
    return {
        "panel": panel_for(context["user"], study),
        "user": context["user"],
        "csrf_token": context.get("csrf_token"),
    }


@register.inclusion_tag("reading/parts/answer_news.html", takes_context=True)
def reading_news(context: template.Context, study: Study) -> dict[str, Any]:
    """What changes in an open panel when the AI's answer arrives; goes along with a page's news."""
    return {"panel": panel_for(context["user"], study)}


@register.filter
def measured(reading: Reading) -> list[tuple[Image, list[Measured]]]:
    """What was measured for a reading, image by image."""
    return measured_in(reading)


@register.filter
def percentage(share: float | None) -> str:
    """``0.934`` as ``93.4%``; a dash where nothing was counted."""
    return "–" if share is None else f"{share:.1%}"


@register.filter
def p_value(p: float) -> str:
    """A probability with as many digits as it bears."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


@register.filter
def class_name(label: str) -> str:
    """What the class ``label`` is called on pages; a dash where there is none."""
    return str(Label(label).label) if label in Label.values else "–"
