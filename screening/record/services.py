"""Opening what shows patient data: found through the visibility rule, and written down."""

from __future__ import annotations

from uuid import UUID

from django.http import FileResponse, Http404
from django.utils.translation import gettext as _

from screening.accounts.models import User
from screening.audit.services import record
from screening.core.errors import Forbidden
from screening.inference.selectors import get_result_of_image
from screening.inference.serving import serve_heatmap
from screening.patients.models import Patient
from screening.reading.selectors import answer_hidden
from screening.record.cards import StudyCard, cards_for
from screening.record.selectors import studies_for
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
    return cards_for(actor, [study])[0]


def open_heatmap(*, actor: User, image_id: UUID) -> FileResponse:
    """What in the picture speaks for the class, as an overlay; pages and the API share this.

    :raises Http404: there is no such result that ``actor`` may know of.
    :raises Forbidden: ``answer_hidden``, before the reader's own first impression.
    """
    result = get_result_of_image(actor, image_id)
    if answer_hidden(actor, result.image.study):
        raise Forbidden(
            _("The AI’s answer is shown once you have recorded your first impression."),
            code="answer_hidden",
        )
    return serve_heatmap(result)


def note_list_view(*, actor: User, page: str, cards: int) -> None:
    """Write down that ``actor`` was shown a list of studies."""
    record("study.list", actor=actor, detail={"page": page, "shown": cards})
