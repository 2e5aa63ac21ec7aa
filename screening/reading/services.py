"""Opening what shows patient data: found through the visibility rule, and written down."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404

from screening.accounts.models import User
from screening.audit.services import record
from screening.patients.models import Patient
from screening.reading.cards import StudyCard, card_of_study
from screening.reading.selectors import studies_for
from screening.studies.models import Study


def open_case_record(*, actor: User, patient_id: UUID) -> Patient:
    """The patient, and a note in the audit that ``actor`` has looked."""
    patient = Patient.objects.visible_to(actor).select_related("site").filter(pk=patient_id).first()
    if patient is None:
        raise Http404
    record("patient.view", patient, actor=actor)
    return patient


def open_study(*, actor: User, study_id: UUID) -> StudyCard:
    """The study with images and results, and a note in the audit that ``actor`` has looked."""
    card = peek_at_study(actor=actor, study_id=study_id)
    record("study.view", card.study, actor=actor)
    return card


def peek_at_study(*, actor: User, study_id: UUID) -> StudyCard:
    """The study for a page that is open already; its opening is in the audit."""
    study: Study | None = studies_for(actor).filter(pk=study_id).first()
    if study is None:
        raise Http404
    return card_of_study(study)


def note_list_view(*, actor: User, page: str, cards: int) -> None:
    """Write down that ``actor`` was shown a list of studies."""
    record("study.list", actor=actor, detail={"page": page, "shown": cards})
