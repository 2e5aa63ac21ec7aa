"""The operating point that a site has chosen for a model, where it has chosen one.

Who chooses stands on a floor above and registers here how to ask. The choice is applied while the
answer is computed and written into its evidence, so a result keeps the point it was made with, and
its receipt can be replayed after another has been chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from screening.inference.engine import ModelIdentity


@dataclass(frozen=True, slots=True)
class SitePoint:
    """COVID-19 is called from ``threshold`` on; ``origin`` says in plain values who chose it."""

    threshold: float
    origin: dict[str, Any]


Provider = Callable[[UUID, "ModelIdentity"], SitePoint | None]
_providers: list[Provider] = []


def register_provider(provider: Provider) -> None:
    """Let ``provider`` be asked; called once while the project starts."""
    if provider not in _providers:
        _providers.append(provider)


def site_point(site_id: UUID, model: ModelIdentity) -> SitePoint | None:
    """What the site has chosen for this very model; None for the point of the model's package."""
    found = (provider(site_id, model) for provider in _providers)
    return next((point for point in found if point is not None), None)


def stored_point(evidence: dict[str, Any]) -> SitePoint | None:
    """The site's point that a stored answer was made with; None for the package's."""
    point = evidence.get("operating_point") or {}
    origin = point.get("origin")
    return SitePoint(point["threshold"], origin) if origin is not None else None
