"""What a patient's data must look like, for every entrance: pages, API, imports.

Each rule returns the tidied value or raises ``ValidationError`` with one sentence that does not
repeat the value.
"""

from __future__ import annotations

import datetime as dt

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.patients.models import MRN_LENGTH, NAME_LENGTH, Sex
from screening.patients.normalise import has_hidden_characters, tidy, tidy_mrn

EARLIEST_BIRTH = dt.date(1870, 1, 1)


def check_mrn(text: str) -> str:
    """A record number: at least one character, none of them invisible."""
    mrn = tidy_mrn(text)
    if not mrn:
        raise ValidationError(_("Enter the record number (MRN)."))
    if has_hidden_characters(mrn, joiners=False):
        raise ValidationError(_("The record number contains invisible characters; type it anew."))
    return _fitting(mrn, MRN_LENGTH)


def check_family_name(text: str) -> str:
    """A family name, which everybody has; somebody with one name only has it here."""
    if not tidy(text):
        raise ValidationError(_("Enter the family name."))
    return _check_name(text, NAME_LENGTH)


def check_given_name(text: str) -> str:
    """Given names, or nothing."""
    return _check_name(text, NAME_LENGTH)


def check_birth_date(day: dt.date | None) -> dt.date | None:
    """A day on which somebody who is X-rayed can have been born; ``None`` if unknown."""
    if day is not None and day > timezone.localdate():
        raise ValidationError(_("The birth date lies in the future."))
    if day is not None and day < EARLIEST_BIRTH:
        raise ValidationError(
            _("The birth date must not lie before %(year)s.") % {"year": EARLIEST_BIRTH.year}
        )
    return day


def check_sex(value: str) -> str:
    """One of the values of DICOM, or nothing."""
    if value and value not in Sex.values:
        raise ValidationError(_("Choose one of the values that are offered."))
    return value


def _check_name(text: str, longest: int) -> str:
    name = tidy(text)
    if has_hidden_characters(name):
        raise ValidationError(_("The name contains invisible characters; type it anew."))
    return _fitting(name, longest)


def _fitting(text: str, longest: int) -> str:
    if len(text) > longest:
        raise ValidationError(_("Use at most %(count)s characters.") % {"count": longest})
    return text
