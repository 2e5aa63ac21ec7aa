"""What the viewer page shows: a study's images, a prior beside them, and what the AI lays over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from screening.accounts.models import User
from screening.audit.services import record
from screening.record.cards import ImageCard, StudyCard, cards_for
from screening.record.selectors import studies_for
from screening.record.viewer_preferences import preferences_of
from screening.studies.models import Image

PRIORS = 60
"""How many images of other studies are offered for comparison, the newest first."""
NO_PRIOR = "none"


@dataclass(frozen=True)
class Prior:
    """An image of another study of the patient, as the list of them shows it."""

    image: Image
    is_chosen: bool

    @property
    def name(self) -> str:
        view = f", {self.image.view_position}" if self.image.view_position else ""
        return f"{day_of(self.image)}{view}"


@dataclass(frozen=True)
class ViewerPage:
    """All that the template needs; ``config`` is for the page's script."""

    card: StudyCard
    image: ImageCard
    prior: ImageCard | None
    priors: list[Prior]
    preferences: dict[str, Any]
    config: dict[str, Any]
    is_hidden: bool


def open_viewer(*, actor: User, study_id: UUID, image: str, prior: str) -> ViewerPage:
    """The page for a study, and a note in the audit that ``actor`` has looked.

    :param image: key of the image to begin with; empty for the first.
    :param prior: key of the image to compare with, ``none``, or empty for what the person likes.
    :raises Http404: there is no such study, image or prior that ``actor`` may know of.
    """
    study = studies_for(actor).filter(pk=study_id).first()
    if study is None:
        raise Http404
    card = cards_for(actor, [study])[0]
    shown = _find(card, image)
    preferences = preferences_of(actor)
    others = _other_images(actor, card)
    chosen = _choose(others, prior, compares=preferences["layout"] == "compare")
    beside = _prior_card(actor, chosen) if chosen else None
    record("study.view", study, actor=actor, detail={"page": "viewer"})
    if chosen:
        record("study.view", chosen.study, actor=actor, detail={"page": "viewer", "as": "prior"})
    return ViewerPage(
        card=card,
        image=shown,
        prior=beside,
        priors=[Prior(one, one == chosen) for one in others],
        preferences=preferences,
        is_hidden=card.hidden,
        config={
            "study": str(study.pk),
            "image": str(shown.image.pk),
            "images": [_for_script(one, one.name) for one in card.images],
            "prior": _for_script(beside, day_of(beside.image)) if beside else None,
            "preferences": preferences,
            "preferences_url": reverse("record:viewer_preferences"),
            "texts": texts(),
        },
    )


def day_of(image: Image) -> str:
    """The day a picture was taken, or that of its arrival where the file does not say."""
    taken = image.study.taken_on or timezone.localtime(image.study.created_at).date()
    return date_format(taken, "SHORT_DATE_FORMAT")


def _find(card: StudyCard, wanted: str) -> ImageCard:
    if not card.images:
        raise Http404
    if not wanted:
        return card.images[0]
    found = next((one for one in card.images if str(one.image.pk) == wanted), None)
    if found is None:
        raise Http404
    return found


def _other_images(user: User, card: StudyCard) -> list[Image]:
    images = Image.objects.visible_to(user).filter(study__patient=card.study.patient_id)
    others = images.exclude(study=card.study.pk).select_related("study")
    return list(others.order_by("-study__created_at", "created_at", "id")[:PRIORS])


def _choose(others: list[Image], wanted: str, *, compares: bool) -> Image | None:
    if wanted == NO_PRIOR or (not wanted and not compares):
        return None
    if not wanted:
        return others[0] if others else None
    found = next((one for one in others if str(one.pk) == wanted), None)
    if found is None:
        raise Http404
    return found


def _prior_card(user: User, image: Image) -> ImageCard:
    study = studies_for(user).get(pk=image.study_id)
    return next(one for one in cards_for(user, [study])[0].images if one.image.pk == image.pk)


def _for_script(card: ImageCard, title: str) -> dict[str, Any]:
    image, result = card.image, card.result
    key = {"image_id": image.pk}
    return {
        "id": str(image.pk),
        "title": title,
        "width": image.width,
        "height": image.height,
        "pixels": reverse("studies:image_pixels", kwargs=key),
        "display": reverse("studies:image_display", kwargs=key),
        "measurements": reverse("record:image_measurements", kwargs=key),
        "heatmap": reverse("record:heatmap", kwargs=key) if result and result.heatmap else None,
        "outline": result.evidence.get("lung_outline") if result else None,
    }


def texts() -> dict[str, Any]:
    """What the page's script says, in the person's language."""
    return {
        "picture": _("X-ray %(name)s. Arrow keys do what the chosen tool does.")
        % {"name": "{name}"},
        "readout": _("Width %(width)s · level %(level)s · zoom %(zoom)s%%")
        % {"width": "{width}", "level": "{level}", "zoom": "{zoom}"},
        "only_placeholder": _(
            "The true grey values could not be loaded. You see the 8-bit picture; "
            "window, zoom and measuring do not work on it. Reload the page to try again."
        ),
        "spacing": {
            "calibrated": _("Lengths are calibrated in the patient."),
            "detector": _(
                "Lengths hold at the detector. In the patient they are shorter, "
                "by how much the file does not say."
            ),
            "unstated": _(
                "Lengths follow the file, which does not say whether they hold in the patient "
                "or at the detector."
            ),
            "none": _("The file has no pixel spacing: lengths are in pixels, not in mm."),
        },
        "at_the_detector": _("at the detector"),
        "spacing_unstated": _("by the file"),
        "length": _("Length"),
        "angle": _("Angle"),
        "remove": _("Remove"),
        "removed": _("The measurement was removed."),
        "saved": _("The measurements are saved."),
        "not_saved": _(
            "The measurements could not be saved. Move one of them to try again, "
            "and do not leave this page before."
        ),
        "signed_out": _("You have been signed out: the last measurements are not saved."),
        "locked": _("These measurements cannot change: your reading of the study is signed."),
        "measurements_unknown": _("Earlier measurements could not be loaded; reload the page."),
        "point_set": _("Point %(number)s is set.") % {"number": "{number}"},
        "was_reset": _("Window, zoom and position are as at the beginning."),
        "window_choose": _("Windows…"),
        "window_filed": _("From the file, %(number)s") % {"number": "{number}"},
        "window_whole": _("Whole range"),
        "window_middle": _("More contrast"),
        "window_dark": _("Lungs (dark parts)"),
        "window_bright": _("Bones (bright parts)"),
    }
