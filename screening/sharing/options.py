"""What somebody chose for an export, and how it is kept in its row."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from screening.sharing.blackout import Box, border


class Dates(models.TextChoices):
    REMOVE = "remove", _("Leave all dates out")
    SHIFT = "shift", _("Move each patient’s dates by a secret number of days")


class Names(models.TextChoices):
    FRESH = "fresh", _("New pseudonyms for this export")
    SITE = "site", _("The pseudonyms that this site always uses")


@dataclass(frozen=True)
class ExportOptions:
    """``border`` is in per cent of each side of every picture; ``boxes`` are by image."""

    dates: str = Dates.REMOVE
    names: str = Names.FRESH
    keep_sex_and_age: bool = False
    with_text: bool = False
    as_dicom: bool = False
    keep_list: bool = False
    border: float = 0
    boxes: dict[str, list[list[float]]] = field(default_factory=dict)

    def boxes_of(self, image_id: UUID) -> tuple[Box, ...]:
        """All that is to be blackened in one picture."""
        own = tuple(Box(*(float(one) for one in box)) for box in self.boxes.get(str(image_id), []))
        return (*border(self.border), *own)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_told(self) -> dict[str, Any]:
        """For the audit and the manifest: without the keys of images."""
        told = {name: value for name, value in self.as_json().items() if name != "boxes"}
        return {**told, "images_with_boxes": len(self.boxes)}

    @classmethod
    def of(cls, stored: dict[str, Any]) -> ExportOptions:
        return cls(**stored)
