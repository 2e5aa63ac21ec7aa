"""Which models have answered at a site, and the card of each.

The card is made by ``ml.card`` from the manifest that was stored with the results; where that very
package is still installed, from what was measured of it as well. Nothing here looks into a model.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from django.utils.safestring import SafeString

from ml.card import Block, Card, Items, Table, build_card
from ml.card_file import CardError, compose_card, find_inputs
from ml.card_file import read_manifest as read_installed
from ml.figures import Picture
from screening.accounts.policies import Permission, sites_where
from screening.inference import packages
from screening.inference.activations import answering_at
from screening.inference.selectors import ModelUse, get_model_used, models_used

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from screening.accounts.models import User
    from screening.inference.models import ModelVersion

logger = logging.getLogger(__name__)

Named = tuple[str, str, str]
"""A version by its name, its number and the hash of its weights."""

# The engine names a package by its reference network.
WEIGHTS = "model.keras"


@dataclass(frozen=True)
class ModelRow:
    """A line of the list of models; ``use`` is None for one that has answered nothing here."""

    name: str
    version: str
    sha256: str
    is_active: bool
    use: ModelUse | None


@dataclass(frozen=True)
class ShownTable:
    """A table whose cells know their column's heading, for screens too narrow for columns."""

    caption: str
    heading: tuple[str, ...]
    rows: list[list[tuple[str, str]]]

    @property
    def is_list(self) -> bool:
        """Names and values, with nothing to say above them."""
        return not any(self.heading)


@dataclass(frozen=True)
class ShownBlock:
    """One block of a card as the template draws it."""

    kind: Literal["text", "items", "table", "pictures"]
    content: Any


@dataclass(frozen=True)
class ShownSection:
    """One part of a card."""

    title: str
    blocks: list[ShownBlock]


@dataclass(frozen=True)
class ModelPage:
    """A model version, its use at the person's sites, and its card."""

    row: ModelRow
    title: str
    sections: list[ShownSection]


def model_list(user: User | AnonymousUser) -> list[ModelRow]:
    """What answers at the person's sites, then every version behind results there."""
    active = _active_at(user)
    rows = [_row(use, active) for use in models_used(user)]
    known = {(row.name, row.version, row.sha256) for row in rows}
    rows += [ModelRow(*one, is_active=True, use=None) for one in sorted(active - known)]
    return sorted(rows, key=lambda row: not row.is_active)


def _active_at(user: User | AnonymousUser) -> set[Named]:
    """Name, version and weights of what answers at each of the person's sites."""
    sites = sites_where(user, Permission.VIEW_STUDIES).values_list("pk", flat=True)
    found = (answering_at(site_id).package for site_id in sites)
    return {
        (package.name, package.version, package.weights_sha256)
        for package in found
        if package.manifest is not None
    }


def model_page(user: User | AnonymousUser, version_id: UUID) -> ModelPage:
    """One version with its card, or ``Http404`` where it has answered nothing at the own sites."""
    use = get_model_used(user, version_id)
    card = _card(use.version)
    return ModelPage(
        row=_row(use, _active_at(user)),
        title=card.title if card else f"Model card: {use.version}",
        sections=[
            ShownSection(section.title, _shown(section.blocks))
            for section in (card.sections if card else ())
        ],
    )


def _row(use: ModelUse, active: set[Named]) -> ModelRow:
    version = use.version
    ours = (version.name, version.version, version.weights_sha256)
    return ModelRow(*ours, is_active=ours in active, use=use)


def _weights(manifest: dict[str, Any]) -> str:
    hashes = manifest.get("sha256")
    return str(hashes.get(WEIGHTS, "")) if isinstance(hashes, dict) else ""


def _card(version: ModelVersion) -> Card | None:
    """The card; None for a manifest that is not one of ours."""
    try:
        manifest: dict[str, Any] = {
            "name": version.name,
            "version": version.version,
            "sha256": {WEIGHTS: version.weights_sha256},
            **version.manifest,
        }
        return _measured_card(version, manifest) or build_card(manifest)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        logger.warning("no card of model version %s (%s)", version.pk, type(error).__name__)
        return None


def _measured_card(version: ModelVersion, manifest: dict[str, Any]) -> Card | None:
    """The card with everything measured, where the very same package is still installed."""
    folder = next(
        (
            folder
            for folder in packages.named(version.name, version.version)
            if _weights(read_installed(folder) or {}) == version.weights_sha256
        ),
        None,
    )
    if folder is None:
        return None
    try:
        return compose_card(manifest, find_inputs(folder))
    except (CardError, OSError) as error:
        logger.warning("measurements of %s not shown (%s)", version, type(error).__name__)
        return None


def _shown(blocks: Sequence[Block]) -> list[ShownBlock]:
    """Blocks for the template; neighbouring pictures stand together."""
    shown: list[ShownBlock] = []
    for block in blocks:
        if isinstance(block, Picture):
            if not shown or shown[-1].kind != "pictures":
                shown.append(ShownBlock("pictures", []))
            # Safe: our own drawing, in which every word was escaped.
            shown[-1].content.append((block.title, SafeString(block.inline())))
        elif isinstance(block, Table):
            rows = [list(zip(block.heading, line, strict=True)) for line in block.rows]
            shown.append(ShownBlock("table", ShownTable(block.caption, block.heading, rows)))
        elif isinstance(block, Items):
            shown.append(ShownBlock("items", block.items))
        else:
            shown.append(ShownBlock("text", block))
    return shown
