"""What goes along with the pictures: answers and readings as lines that name nobody.

Who read, sent or recorded is left out: staff are people too. Free text is left out unless it was
asked for, since nothing can tell reliably what in it points at a person; where it was, the words
by which the portal knows the patient are taken out of it, and the reader is told that others may
have stayed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Any, Final

from django.utils import timezone

from screening.patients.models import Patient
from screening.reading.models import Reading
from screening.record.cards import ImageCard, StudyCard
from screening.sharing import profile
from screening.studies.models import ConfirmedDiagnosis

HIDDEN: Final = "hidden until read"
REMOVED: Final = "[removed]"
HEADING: Final = (
    "patient",
    "sex",
    "age",
    "study",
    "taken",
    "received",
    "file",
    "view position",
    "ai class",
    "p covid",
    "p pneumonia",
    "p normal",
    "covid called",
    "threshold",
    "prediction set",
    "shortcut verdict",
    "model",
    "impression",
    "stance",
    "text",
    "reason",
    "confirmed diagnosis",
    "basis",
    "diagnosis date",
)


class Lines:
    """Makes the lines of one study; ``days`` turns a date into what may be told of it."""

    def __init__(
        self,
        card: StudyCard,
        *,
        about: dict[str, Any],
        reading: Reading | None,
        diagnosis: ConfirmedDiagnosis | None,
        with_text: bool,
    ) -> None:
        self._card = card
        self._about = about
        self._reading = reading
        self._diagnosis = None if card.hidden else diagnosis
        self._with_text = with_text

    def of(self, image: ImageCard, file_name: str) -> dict[str, Any]:
        """The line of one image, by the names of ``HEADING``."""
        line: dict[str, Any] = dict.fromkeys(HEADING, "")
        line |= {name: value for name, value in self._about.items() if name in line}
        # What the file called it, as far as it is one of the standard's words and not a name.
        view = profile.KEPT["ViewPosition"](image.image.view_position)
        line |= {"file": file_name, "view position": view or ""}
        line |= self._answer(image) | self._read()
        if self._card.hidden:
            line |= dict.fromkeys(("confirmed diagnosis", "basis", "diagnosis date"), HIDDEN)
        elif self._diagnosis is not None:
            day = self._about["told"](self._diagnosis.date)
            line |= {
                "confirmed diagnosis": self._diagnosis.label,
                "basis": self._diagnosis.basis,
                "diagnosis date": day,
            }
        return line

    def _answer(self, image: ImageCard) -> dict[str, Any]:
        if image.hidden:
            return dict.fromkeys(HEADING[8:17], HIDDEN)
        result = image.result
        if result is None:
            return {}
        trust = image.trust
        return {
            "ai class": result.label,
            "p covid": round(result.p_covid, 4),
            "p pneumonia": round(result.p_pneumonia, 4),
            "p normal": round(result.p_normal, 4),
            "covid called": "" if trust is None else "yes" if trust.called else "no",
            "threshold": "" if trust is None else trust.threshold,
            "prediction set": " ".join(result.evidence.get("prediction_set", [])),
            "shortcut verdict": "" if trust is None else trust.verdict,
            "model": str(result.model_version),
        }

    def _read(self) -> dict[str, Any]:
        reading = self._reading
        if reading is None:
            return {}
        told: dict[str, Any] = {"impression": reading.impression, "stance": reading.stance}
        if self._with_text:
            patient = self._card.study.patient
            told |= {
                "text": without_names(reading.text, patient),
                "reason": without_names(reading.reason, patient),
            }
        return told


def without_names(text: str, patient: Patient) -> str:
    """``text`` without the words by which the portal knows the patient, and without dates."""
    words = [patient.mrn, *patient.family_name.split(), *patient.given_name.split()]
    known = sorted({word for word in words if len(word) > 1}, key=len, reverse=True)
    for word in known:
        text = re.sub(re.escape(word), REMOVED, text, flags=re.IGNORECASE)
    return re.sub(r"\b\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\b", REMOVED, text)


def age_at(patient: Patient, day: dt.date) -> int | None:
    """Whole years; None where the birth date is not known or lies later."""
    born = patient.birth_date
    if born is None or born > day:
        return None
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def arrived_on(card: StudyCard) -> dt.date:
    return timezone.localdate(card.study.created_at)


def as_rows(lines: Iterable[dict[str, Any]]) -> list[list[Any]]:
    return [[line[name] for name in HEADING] for line in lines]
