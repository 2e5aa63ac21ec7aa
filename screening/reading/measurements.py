"""Lengths and angles that a reader draws on an image: checked, kept, and closed by the signature.

Points are in pixels of the image, across and down, the first pixel's corner at 0/0; so they mean
the same whatever the zoom, and a length in millimetres follows from the spacing in the file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.reading.models import Measurements, Reading
from screening.studies.models import Image, SpacingKind, Study

Kind = Literal["length", "angle"]
POINTS: Final[dict[Kind, int]] = {"length": 2, "angle": 3}
MOST: Final = 50
"""On one image; somebody who reads needs a handful."""
BEYOND: Final = 0.5
"""By which share of the image's side a point may lie outside of it: an angle's arm may."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement with what it comes to.

    ``unit`` is ``mm``, ``px`` or ``°``; ``spacing`` says where millimetres hold
    (``studies.models.SpacingKind``), empty for pixels and angles.
    """

    kind: Kind
    points: tuple[tuple[float, float], ...]
    value: float
    unit: str
    spacing: str

    @property
    def words(self) -> str:
        """What the viewer writes beside it, such as ``Length 250.0 mm at the detector``."""
        if self.kind == "angle":
            return _("Angle") + f" {self.value:.1f}°"
        if self.unit == "px":
            return _("Length") + f" {self.value:.0f} px"
        where = {
            SpacingKind.DETECTOR.value: " " + _("at the detector"),
            SpacingKind.UNSTATED.value: " " + _("by the file"),
        }
        return _("Length") + f" {self.value:.1f} mm" + where.get(self.spacing, "")


def save_measurements(*, actor: User, image: Image, items: Any) -> Measurements:
    """Keep all that ``actor`` has measured on ``image``, in place of what was kept before.

    ``image`` was found by ``visible_to(actor)``; ``items`` is what a program sent.

    :raises Forbidden: the actor may not write readings at the image's site.
    :raises InvalidInput: the items are no measurements of this image.
    :raises Conflict: ``already_signed``: the actor's reading of the study is signed.
    """
    policies.require(actor, Permission.WRITE_READINGS, image.study.site_id)
    checked = checked_items(items, image)
    with transaction.atomic():
        # As signing does: of a change and a signature at the same moment one is first.
        Study.objects.select_for_update().get(pk=image.study_id)
        if is_closed(actor, image):
            raise Conflict(
                _("You have signed your reading of this study, and its measurements with it."),
                code="already_signed",
            )
        kept, created = Measurements.objects.get_or_create(
            image=image, author=actor, defaults={"items": checked}
        )
        if created or kept.items != checked:
            kept.items = checked
            kept.save(update_fields=["items", "updated_at"])
            record("image.measure", image, actor=actor, detail={"items": len(checked)})
    return kept


def own_measurements(user: User, image: Image) -> list[dict[str, Any]]:
    """What ``user`` has measured on ``image``, in the form in which it was sent."""
    kept = Measurements.objects.visible_to(user).filter(image=image, author=user).first()
    return list(kept.items) if kept else []


def is_closed(user: User, image: Image) -> bool:
    """Whether the user's reading of the image's study is signed."""
    return Reading.objects.signed().filter(study=image.study_id, reader=user).exists()


def may_measure(user: User, image: Image) -> bool:
    """Whether ``save_measurements`` would take measurements of this person on this image now."""
    may = policies.may(user, Permission.WRITE_READINGS, image.study.site_id)
    return may and not is_closed(user, image)


def measured_in(reading: Reading) -> list[tuple[Image, list[Measured]]]:
    """What belongs to a reading, image by image; those without are left out."""
    return measured_by(reading.reader_id, reading.study_id)


def measured_by(author_id: UUID, study_id: UUID) -> list[tuple[Image, list[Measured]]]:
    """What one person has measured in a study, whether there is a reading yet or not."""
    rows = Measurements.objects.filter(image__study=study_id, author=author_id)
    kept = rows.select_related("image").order_by("image__created_at", "image_id")
    return [
        (row.image, [measure(item, row.image) for item in row.items]) for row in kept if row.items
    ]


def measure(item: dict[str, Any], image: Image) -> Measured:
    """What one kept item comes to; for lengths in the unit that the image allows."""
    kind: Kind = item["kind"]
    points = tuple((float(x), float(y)) for x, y in item["points"])
    down, across = image.pixel_spacing_row_mm, image.pixel_spacing_column_mm
    known = bool(down and across)
    scaled = [(x * (across or 1.0), y * (down or 1.0)) for x, y in points]
    if kind == "angle":
        return Measured(kind, points, _angle(scaled), "°", "")
    spacing = (image.pixel_spacing_kind or SpacingKind.UNSTATED.value) if known else ""
    return Measured(kind, points, math.dist(*scaled), "mm" if known else "px", spacing)


def _angle(points: Sequence[tuple[float, float]]) -> float:
    """Degrees between the arms from the middle point."""
    (ax, ay), (bx, by), (cx, cy) = points
    first, second = (ax - bx, ay - by), (cx - bx, cy - by)
    cross = first[0] * second[1] - first[1] * second[0]
    dot = first[0] * second[0] + first[1] * second[1]
    return math.degrees(abs(math.atan2(cross, dot)))


def checked_items(items: Any, image: Image) -> list[dict[str, Any]]:
    """What a program sent, in the form in which it is kept. Raises ``InvalidInput``."""
    if not isinstance(items, list):
        raise _nonsense()
    if len(items) > MOST:
        raise InvalidInput(
            _("An image holds up to %(count)s measurements.") % {"count": MOST}, field="items"
        )
    return [_checked_item(item, image) for item in items]


def _checked_item(item: Any, image: Image) -> dict[str, Any]:
    if not isinstance(item, dict) or set(item) != {"kind", "points"}:
        raise _nonsense()
    kind, points = item["kind"], item["points"]
    if not isinstance(kind, str) or kind not in POINTS or not isinstance(points, list):
        raise _nonsense()
    if len(points) != POINTS[kind]:
        raise _nonsense()
    return {"kind": kind, "points": [_checked_point(point, image) for point in points]}


def _checked_point(point: Any, image: Image) -> list[float]:
    if not isinstance(point, list) or len(point) != 2:
        raise _nonsense()
    found = []
    for value, side in zip(point, (image.width, image.height), strict=True):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not -BEYOND * side <= value <= (1 + BEYOND) * side:
            raise _nonsense()
        found.append(round(float(value), 2))
    return found


def _nonsense() -> InvalidInput:
    return InvalidInput(
        _("These are no measurements of this image: {kind, points} with points inside of it."),
        field="items",
    )
