"""Studies as lines of a spreadsheet: the history, a patient's, and the worklist.

One line an image, because an answer belongs to an image. What is hidden from the person on pages
is hidden here. Moments are ISO 8601 in UTC. Rows are read a page at a time while they are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from screening.accounts.models import User
from screening.core.errors import InvalidInput
from screening.patients.models import Patient
from screening.reading.models import Reading
from screening.record.cards import ImageCard, StudyCard
from screening.record.selectors import (
    HistoryFilter,
    StudyPage,
    history_exceeds,
    patient_timeline,
    study_history,
)
from screening.studies.models import ConfirmedDiagnosis
from screening.worklist import selectors as worklist
from screening.worklist.ordering import Page

MOST_STUDIES = 20_000
MOST_ENTRIES = 5_000
HIDDEN = "hidden until read"

STUDY_HEADING = (
    "study",
    "mrn",
    "family name",
    "given name",
    "birth date",
    "sex",
    "received",
    "taken on",
    "sent by",
    "study status",
    "image",
    "file name",
    "image status",
    "ai class",
    "p covid",
    "p pneumonia",
    "p normal",
    "covid called",
    "doubt",
    "model",
    "impression",
    "stance",
    "read by",
    "signed",
    "confirmed diagnosis",
    "basis",
    "diagnosis date",
)
WORKLIST_HEADING = (
    "study",
    "mrn",
    "family name",
    "given name",
    "birth date",
    "sex",
    "received",
    "waiting hours",
    "status",
    "images",
    "ai flag",
    "being read by",
    "assigned to",
)

ReadPage = Callable[[str], StudyPage]


def history_rows(user: User, wanted: HistoryFilter) -> Iterator[list[Any]]:
    """The studies that ``wanted`` asks for, newest first.

    :raises InvalidInput: ``too_many_rows``, before the first row.
    """
    if history_exceeds(user, wanted, MOST_STUDIES):
        raise _too_many(MOST_STUDIES)
    return _rows(user, lambda mark: study_history(user, wanted, before=mark))


def patient_rows(user: User, patient: Patient) -> Iterator[list[Any]]:
    """Every study of one patient, newest first; ``patient`` was found by ``visible_to(user)``."""
    return _rows(user, lambda mark: patient_timeline(user, patient, before=mark))


def worklist_rows(user: User, wanted: worklist.Wanted) -> list[list[Any]]:
    """What is unread, in the order in which it is to be read.

    :raises InvalidInput: ``too_many_rows``.
    """
    found = worklist.worklist_of(user, wanted)
    rows: list[list[Any]] = []
    after = ""
    while True:
        page: Page = found.page(after=after, size=500)
        rows += [_worklist_line(row) for row in worklist.rows_of(user, page.entries)]
        after = page.next
        if not after:
            return rows
        if len(rows) >= MOST_ENTRIES:
            raise _too_many(MOST_ENTRIES)


def _rows(user: User, read: ReadPage) -> Iterator[list[Any]]:
    mark = ""
    while True:
        page = read(mark)
        yield from _lines_of(user, page)
        mark = page.older
        if not mark:
            return


def _lines_of(user: User, page: StudyPage) -> Iterator[list[Any]]:
    keys = [card.study.pk for card in page.cards]
    readings = {
        row.study_id: row
        for row in Reading.objects.visible_to(user)
        .filter(study__in=keys, of_record=True)
        .select_related("reader")
    }
    diagnoses = {
        row.study_id: row
        for row in ConfirmedDiagnosis.objects.visible_to(user).current().filter(study__in=keys)
    }
    for card in page.cards:
        before = _study_cells(card)
        after = _reading_cells(readings.get(card.study.pk), diagnoses.get(card.study.pk))
        if card.hidden:  # Whoever has to read first is not told the truth first either.
            after[-3:] = [HIDDEN] * 3
        images: Sequence[ImageCard | None] = card.images or [None]
        for image in images:
            yield [*before, *_image_cells(image), *after]


def _person_cells(patient: Patient) -> list[Any]:
    return [
        patient.mrn,
        patient.family_name,
        patient.given_name,
        patient.birth_date.isoformat() if patient.birth_date else "",
        patient.sex,
    ]


def _study_cells(card: StudyCard) -> list[Any]:
    study = card.study
    return [
        str(study.pk),
        *_person_cells(study.patient),
        _moment(study.created_at),
        study.taken_on.isoformat() if study.taken_on else "",
        study.uploaded_by.get_username(),
        study.status,
    ]


def _image_cells(card: ImageCard | None) -> list[Any]:
    if card is None:
        return [""] * 10
    about = [str(card.image.pk), card.image.original_name, card.image.status]
    if card.hidden:
        return [*about, *[HIDDEN] * 7]
    result = card.result
    if result is None:
        return [*about, *[""] * 7]
    called = card.trust.called if card.trust else None
    return [
        *about,
        result.label,
        *(round(share, 4) for share in (result.p_covid, result.p_pneumonia, result.p_normal)),
        "" if called is None else "yes" if called else "no",
        card.doubt,
        str(result.model_version),
    ]


def _reading_cells(reading: Reading | None, diagnosis: ConfirmedDiagnosis | None) -> list[Any]:
    cells: list[Any] = [""] * 7
    if reading is not None:
        signed = _moment(reading.signed_at) if reading.signed_at else ""
        cells[:4] = [reading.impression, reading.stance, reading.reader.get_username(), signed]
    if diagnosis is not None:
        cells[4:] = [diagnosis.label, diagnosis.basis, diagnosis.date.isoformat()]
    return cells


def _worklist_line(row: worklist.Row) -> list[Any]:
    entry = row.entry
    flag = HIDDEN if row.flagged is None else "yes" if row.flagged else "no"
    return [
        str(entry.pk),
        *_person_cells(entry.patient),
        _moment(entry.arrived_at),
        round(row.waited.total_seconds() / 3600, 2),
        entry.status,
        len(row.images),
        flag,
        row.held_by.get_username() if row.held_by else "",
        entry.assigned_to.get_username() if entry.assigned_to else "",
    ]


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _too_many(most: int) -> InvalidInput:
    return InvalidInput(
        _("More than %(most)s studies fit. Narrow the filter, for example by days.")
        % {"most": most},
        code="too_many_rows",
    )
