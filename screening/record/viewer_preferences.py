"""What the viewer remembers of each person: the last tool, what is laid over, the layout.

Nothing of a patient is in here.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from screening.accounts.models import User
from screening.core.errors import InvalidInput
from screening.record.models import ViewerPreferences

TOOLS: Final = ("window", "pan", "zoom", "length", "angle")
LAYOUTS: Final = ("single", "compare")
DEFAULTS: Final[dict[str, Any]] = {
    "tool": "window",
    "heatmap": True,
    "opacity": 40,
    "outline": False,
    "invert": False,
    "layout": "single",
    "link": True,
    "shortcuts": True,
}


def preferences_of(user: User) -> dict[str, Any]:
    """The person's preferences, complete: what was never chosen is as it is for everyone."""
    kept = ViewerPreferences.objects.filter(user=user).first()
    values = kept.values if kept else {}
    return {name: values.get(name, default) for name, default in DEFAULTS.items()}


def save_preferences(*, actor: User, values: Any) -> dict[str, Any]:
    """Remember ``values`` (some or all of ``DEFAULTS``) of ``actor``; the rest stays.

    :raises InvalidInput: a value makes no sense; ``field`` names it.
    """
    if not isinstance(values, dict):
        raise _nonsense("")
    for name, value in values.items():
        if name not in DEFAULTS or not _fits(name, value):
            raise _nonsense(str(name))
    with transaction.atomic():
        # Locked from reading to writing: two pages may save different things at the same moment.
        kept, _made = ViewerPreferences.objects.select_for_update().get_or_create(
            user=actor, defaults={"values": {}}
        )
        kept.values = {**kept.values, **values}
        kept.save(update_fields=["values"])
    return preferences_of(actor)


def _fits(name: str, value: Any) -> bool:
    if name == "tool":
        return value in TOOLS
    if name == "layout":
        return value in LAYOUTS
    if name == "opacity":
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100
    return isinstance(value, bool)


def _nonsense(name: str) -> InvalidInput:
    return InvalidInput(_("This is no preference of the viewer."), field=name or None)
