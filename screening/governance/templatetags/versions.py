"""How the comparison of versions writes its figures."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def points(value: float) -> str:
    """A difference of shares in percentage points, its sign always written: ``+1.2``."""
    written = f"{value * 100:+.1f}".replace("-", "−")
    return "0.0" if written in ("+0.0", "−0.0") else written
