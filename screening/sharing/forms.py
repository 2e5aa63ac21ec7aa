"""The form of an export."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from screening.core.errors import InvalidInput
from screening.sharing.blackout import MOST_BORDER, MOST_BOXES, Box
from screening.sharing.options import Dates, ExportOptions, Names

BOX_PREFIX = "box-"


class ExportForm(forms.Form):
    """How to de-identify; ``images`` are those for which boxes may be drawn."""

    dates = forms.ChoiceField(
        label=_("Dates"), choices=Dates.choices, initial=Dates.REMOVE, widget=forms.RadioSelect()
    )
    names = forms.ChoiceField(
        label=_("Pseudonyms"),
        choices=Names.choices,
        initial=Names.FRESH,
        widget=forms.RadioSelect(),
        help_text=_("With the site’s own, this export can be linked with earlier ones."),
    )
    keep_sex_and_age = forms.BooleanField(
        label=_("Keep sex and age"),
        required=False,
        help_text=_("Age in years at the time of the film; above 89 it is given as 90."),
    )
    with_text = forms.BooleanField(
        label=_("Include what readers wrote"),
        required=False,
        help_text=_(
            "Left out otherwise: free text may name anybody, and no program finds that reliably. "
            "Only the patient’s name, record number and dates are taken out of it."
        ),
    )
    as_dicom = forms.BooleanField(
        label=_("PNG and JPEG as DICOM secondary captures"), required=False
    )
    border = forms.FloatField(
        label=_("Blacken the border of every picture, in per cent of each side"),
        min_value=0,
        max_value=MOST_BORDER,
        required=False,
        initial=0,
    )
    keep_list = forms.BooleanField(
        label=_("Keep a list of who is who"),
        required=False,
        help_text=_(
            "Administrators can then find a patient again by the pseudonym. "
            "Without it nobody can, this portal included."
        ),
    )

    border.widget.attrs.update({"step": "1", "inputmode": "numeric"})

    def __init__(self, *args: Any, may_keep_list: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_keep_list:
            del self.fields["keep_list"]

    def options(self, images: Collection[UUID]) -> ExportOptions:
        """What was chosen, with the boxes of ``images``.

        :raises InvalidInput: a box is not four numbers from 0 to 100.
        """
        chosen = dict(self.cleaned_data)
        chosen["border"] = chosen.get("border") or 0
        assert isinstance(self.data, QueryDict)  # noqa: S101  (made from a request only)
        boxes = {}
        for key in images:
            drawn = read_boxes(self.data.get(f"{BOX_PREFIX}{key}", ""))
            if drawn:
                boxes[str(key)] = drawn
        return ExportOptions(**chosen, boxes=boxes)


def read_boxes(text: str) -> list[list[float]]:
    """``left top right bottom`` in per cent, boxes apart by semicolons.

    :raises InvalidInput: ``boxes``.
    """
    found: list[list[float]] = []
    for part in text.split(";"):
        if not part.strip():
            continue
        try:
            sides = [float(one) for one in part.replace(",", " ").split()]
        except ValueError:
            raise _wrong_boxes() from None
        if len(sides) != 4 or not Box(*sides).is_sound or len(found) == MOST_BOXES:
            raise _wrong_boxes()
        found.append(sides)
    return found


def _wrong_boxes() -> InvalidInput:
    return InvalidInput(
        str(_("A box is four numbers from 0 to 100: left, top, right and bottom, in per cent.")),
        code="boxes",
    )
