"""How operating points and their figures are written on pages."""

from __future__ import annotations

from django import template
from django.utils.formats import number_format

from screening.governance import selectors

register = template.Library()


@register.filter
def threshold(value: float) -> str:
    """``46.21%``: exact enough to tell two thresholds apart."""
    return selectors.in_percent(value)


@register.filter
def rate(value: float | None) -> str:
    """A share as a whole number of per cent with one digit, or a dash where nothing is known."""
    return "–" if value is None else f"{number_format(value * 100, 1)}%"


@register.filter
def interval(bounds: tuple[float, float] | None) -> str:
    """A 95 % interval: ``86.0–93.1``."""
    if bounds is None:
        return ""
    low, high = (number_format(end * 100, 1) for end in bounds)
    return f"{low}–{high}"
