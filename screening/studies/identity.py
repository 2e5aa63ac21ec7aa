"""Whose picture a file says it is, held against the patient it is sent for.

DICOM files name their patient. One that names another is not taken in until whoever sends it has
seen both and confirmed the patient: an X-ray in the wrong record harms two people. What a file
leaves out is not compared, and neither are names in scripts that share no letter. What is read
here is shown to the sender and never stored or logged.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher

from django.utils.translation import gettext as _

from screening.patients.models import Patient
from screening.patients.normalise import mrn_key, name_key, tidy
from screening.studies.gate import CheckedImage, UploadRefused

LONGEST_SHOWN = 120
# Spellings of the same letter in passports, on machines without it, and in the record.
_SPELLINGS = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a"))
_STROKED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "a", "œ": "o", "þ": "th", "ð": "d"})
# From this likeness on (difflib's ratio) two words may be one name, mistyped.
ALIKE = 0.8


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which file and record name different people, both as they are to be shown."""

    field: str
    in_file: str
    in_record: str


@dataclass(frozen=True, slots=True)
class StatedIdentity:
    """What a file says of its patient; empty where it says nothing.

    ``names`` are the spellings of PS3.5's PN (alphabetic, ideographic, phonetic), each with
    family and given names.
    """

    mrn: str = ""
    birth_date: dt.date | None = None
    names: tuple[tuple[str, str], ...] = ()


class PatientMismatch(UploadRefused):
    """The file names another patient; ``differences`` says in what, for the sender's eyes only."""

    def __init__(self, differences: list[Difference]) -> None:
        super().__init__(
            _(
                "The file names another patient than the one it is sent for. "
                "Compare them, and confirm only if the X-ray belongs to this patient."
            ),
            code="patient_mismatch",
        )
        self.http_status = 409
        self.differences = differences

    @property
    def fields(self) -> list[str]:
        return [difference.field for difference in self.differences]

    def as_json(self) -> list[dict[str, str]]:
        return [
            {"field": d.field, "in_file": d.in_file, "in_record": d.in_record}
            for d in self.differences
        ]


def stated_identity(checked: CheckedImage) -> StatedIdentity:
    """Whom the file names. Only DICOM names anybody."""
    stated = checked.stated
    return StatedIdentity(
        mrn=_line(stated.get("PatientID", "")),
        birth_date=_day(_line(stated.get("PatientBirthDate", ""))),
        names=_names(stated.get("PatientName", "")),
    )


def differences(stated: StatedIdentity, patient: Patient) -> list[Difference]:
    """In what ``stated`` and ``patient`` are clearly not the same person."""
    found = []
    if stated.mrn and mrn_key(stated.mrn) != mrn_key(patient.mrn):
        found.append(Difference("mrn", stated.mrn, patient.mrn))
    if stated.names and not any(_may_be(family, given, patient) for family, given in stated.names):
        family, given = stated.names[0]
        shown = f"{family}, {given}" if family and given else family or given
        found.append(Difference("name", shown[:LONGEST_SHOWN], str(patient)))
    if (
        stated.birth_date is not None
        and patient.birth_date is not None
        and stated.birth_date != patient.birth_date
    ):
        in_record = patient.birth_date.isoformat()
        found.append(Difference("birth_date", stated.birth_date.isoformat(), in_record))
    return found


def _line(text: str) -> str:
    seen = "".join(
        " " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    return tidy(seen)[:LONGEST_SHOWN]


def _day(text: str) -> dt.date | None:
    """YYYYMMDD, or the YYYY.MM.DD of old files (PS3.5, VR DA)."""
    try:
        return dt.datetime.strptime(text.replace(".", ""), "%Y%m%d").date()
    except ValueError:
        return None


def _names(stated: str) -> tuple[tuple[str, str], ...]:
    found = []
    for group in stated.split("=")[:3]:
        family, given, *more = [_line(part) for part in (*group.split("^"), "")][:4]
        middle = more[0] if more and group.count("^") >= 2 else ""
        given = f"{given} {middle}".strip()
        if family or given:
            found.append((family, given))
    return tuple(found)


def _may_be(family: str, given: str, patient: Patient) -> bool:
    """Whether this may be the patient's name, written another way or mistyped.

    Some word of the family name must fit, and of the given names too where both sides have some;
    machines that know one field only hold the whole name in it, in either order.
    """
    file_family, file_given = _words(family), _words(given)
    own_family, own_given = _words(patient.family_name), _words(patient.given_name)
    stated, own = file_family + file_given, own_family + own_given
    if not _scripts(stated) & _scripts(own):
        return True  # Names in different scripts can't be held against each other.
    if not file_family or not file_given:
        return _share(stated, own_family) and (
            not own_given or len(stated) == 1 or _share(stated, own_given)
        )
    straight = _share(file_family, own_family) and (not own_given or _share(file_given, own_given))
    turned = _share(file_family, own_given) and _share(file_given, own_family)
    return straight or turned


def _words(name: str) -> list[str]:
    folded = name_key(name).translate(_STROKED)
    for long, short in _SPELLINGS:
        folded = folded.replace(long, short)
    return "".join(c if c.isalnum() else " " for c in folded).split()


def _share(some: list[str], others: list[str]) -> bool:
    return any(_alike(one, other) for one in some for other in others)


def _alike(one: str, other: str) -> bool:
    if len(one) == 1 or len(other) == 1:
        return one[0] == other[0]
    return SequenceMatcher(None, one, other).ratio() >= ALIKE


def _scripts(words: list[str]) -> set[str]:
    """The first word of each letter's Unicode name: ``LATIN``, ``GREEK``, ``CJK`` …"""
    return {unicodedata.name(c, "?").split()[0] for word in words for c in word if c.isalpha()}
