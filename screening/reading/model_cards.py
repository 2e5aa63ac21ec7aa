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

from django.conf import settings
from django.utils.safestring import SafeString

from ml.card import Block, Card, Items, Table, build_card
from ml.card_file import CardError, compose_card, find_inputs, find_package, installed_manifest
from ml.card_file import read_manifest as read_installed
from ml.figures import Picture
from screening.inference.selectors import ModelUse, get_model_used, models_used

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from screening.accounts.models import User
    from screening.inference.models import ModelVersion

logger = logging.getLogger(__name__)

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
    """The installed model, then every version behind results that ``user`` may see."""
    active = installed_manifest(settings.THORASCREEN_MODEL or None)
    rows = [_row(use, active) for use in models_used(user)]
    if active is not None and not any(row.is_active for row in rows):
        rows.insert(
            0,
            ModelRow(
                name=str(active.get("name", "")),
                version=str(active.get("version", "")),
                sha256=_weights(active),
                is_active=True,
                use=None,
            ),
        )
    return sorted(rows, key=lambda row: not row.is_active)


def model_page(user: User | AnonymousUser, version_id: UUID) -> ModelPage:
    """One version with its card, or ``Http404`` where it has answered nothing at the own sites."""
    use = get_model_used(user, version_id)
    active = installed_manifest(settings.THORASCREEN_MODEL or None)
    card = _card(use.version)
    return ModelPage(
        row=_row(use, active),
        title=card.title if card else f"Model card: {use.version}",
        sections=[
            ShownSection(section.title, _shown(section.blocks))
            for section in (card.sections if card else ())
        ],
    )


def _row(use: ModelUse, active: dict[str, Any] | None) -> ModelRow:
    version = use.version
    ours = (version.name, version.version, version.weights_sha256)
    return ModelRow(
        name=version.name,
        version=version.version,
        sha256=version.weights_sha256,
        is_active=active is not None
        and ours == (active.get("name"), active.get("version"), _weights(active)),
        use=use,
    )


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
    folder = find_package(version.name, version.version, settings.THORASCREEN_MODEL or None)
    installed = read_installed(folder) if folder else None
    if folder is None or installed is None or _weights(installed) != version.weights_sha256:
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
