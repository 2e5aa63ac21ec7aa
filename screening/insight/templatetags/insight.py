"""How the dashboard writes its numbers."""

from __future__ import annotations

from typing import Any

from django import template

from screening.insight.figure import written

register = template.Library()


@register.filter(name="as")
def as_kind(value: Any, kind: str) -> str:
    """A value as its kind is written: ``{{ p50|as:"seconds" }}``."""
    return written(value, kind)
