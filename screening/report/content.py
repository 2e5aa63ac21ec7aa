"""What a report says, gathered once; ``document`` draws it. No picture is opened here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from screening.accounts.models import User
from screening.accounts.preferences import zone_named
from screening.inference.models import Result
from screening.inference.selectors import latest_result
from screening.patients.models import Patient
from screening.reading.measurements import Measured, measured_in
from screening.reading.models import Reading
from screening.reading.selectors import answer_hidden, signed_readings
from screening.record.cards import ImageCard, card_of
from screening.studies.models import ConfirmedDiagnosis, Image, Study
from screening.studies.selectors import current_diagnosis

MOST_PICTURED = 8
"""So many images of a study are printed as pictures, which bounds a report's size and time; of
the others the answers are printed."""


@dataclass(frozen=True)
class Answer:
    """The answer of one model to one image, and what it rests on.

    ``receipt`` is the SHA-256 of the result's receipt, written as JSON with sorted keys and no
    spaces; empty where there is none. ``is_later`` says that the answer came after the signature.
    """

    card: ImageCard
    model: str
    receipt: str
    given_at: datetime
    is_later: bool

    @property
    def result(self) -> Result:
        assert self.card.result is not None  # noqa: S101  (an answer is made of one)
        return self.card.result


@dataclass(frozen=True)
class PrintedImage:
    """One image of the study; ``answer`` is None where there is none that may be shown."""

    image: Image
    name: str
    answer: Answer | None
    is_pictured: bool
    problem: str = ""


@dataclass(frozen=True)
class Issue:
    """What only an issued report has: its place in the study's row of reports, and its code."""

    version: int
    code: str
    verify_url: str
    at: datetime
    by: str


@dataclass(frozen=True)
class ReportContent:
    """Everything that is printed. ``issue`` is None for a preliminary print; ``measured`` is what
    belongs to each reading, by its key."""

    site: str
    zone: str
    patient: Patient
    study: Study
    readings: list[Reading]
    diagnosis: ConfirmedDiagnosis | None
    images: list[PrintedImage]
    answer_is_hidden: bool
    printed_at: datetime
    measured: dict[UUID, list[tuple[Image, list[Measured]]]]
    issue: Issue | None = None

    @property
    def is_signed(self) -> bool:
        return any(reading.of_record for reading in self.readings)


@dataclass(frozen=True)
class Signed:
    """The signed words of a study, and what identifies exactly these."""

    readings: list[Reading] = field(default_factory=list)

    @property
    def is_signed(self) -> bool:
        return any(reading.of_record for reading in self.readings)

    @property
    def covers(self) -> list[str]:
        """The keys of all readings and addenda, sorted."""
        keys = [reading.pk for reading in self.readings]
        keys += [addendum.pk for reading in self.readings for addendum in reading.addenda.all()]
        return sorted(str(key) for key in keys)


def signed_words(actor: User, study: Study) -> Signed:
    return Signed(signed_readings(actor, study))


def gather(
    *, actor: User, study: Study, signed: Signed, at: datetime, issue: Issue | None = None
) -> ReportContent:
    """What a report of ``study`` says to ``actor`` at this moment.

    Where the reading of record stood beside answers, these are the ones that are printed, even
    if a newer model has answered since.
    """
    hidden = answer_hidden(actor, study)
    record_of = next((reading for reading in signed.readings if reading.of_record), None)
    stood_beside = frozenset(record_of.ai_results) if record_of else frozenset()
    images = list(
        Image.objects.visible_to(actor)
        .filter(study=study)
        .select_related("job")
        .prefetch_related("results__model_version")
    )
    printed = [
        _image(image, place, stood_beside, record_of, hidden=hidden)
        for place, image in enumerate(images)
    ]
    return ReportContent(
        site=study.site.name,
        zone=str(zone_named(study.site.time_zone)),
        patient=study.patient,
        study=study,
        readings=signed.readings,
        # Whoever has to read first is not told the truth first either.
        diagnosis=None if hidden else current_diagnosis(actor, study),
        images=printed,
        answer_is_hidden=hidden,
        printed_at=at,
        measured={reading.pk: measured_in(reading) for reading in signed.readings},
        issue=issue,
    )


def _image(
    image: Image,
    place: int,
    stood_beside: frozenset[str],
    record_of: Reading | None,
    *,
    hidden: bool,
) -> PrintedImage:
    newest = card_of(image, hidden=hidden)
    result = None if hidden else _chosen(image, stood_beside)
    answer = None
    if result is not None:
        signed_at = record_of.signed_at if record_of else None
        answer = Answer(
            card=ImageCard(image=image, job=newest.job, result=result),
            model=str(result.model_version),
            receipt=receipt_hash(result.receipt),
            given_at=result.created_at,
            is_later=signed_at is not None and str(result.pk) not in stood_beside,
        )
    return PrintedImage(
        image=image,
        name=newest.name,
        answer=answer,
        is_pictured=place < MOST_PICTURED,
        problem=newest.job.message if newest.job and newest.job.code and answer is None else "",
    )


def _chosen(image: Image, stood_beside: frozenset[str]) -> Result | None:
    beside = [result for result in image.results.all() if str(result.pk) in stood_beside]
    return beside[0] if beside else latest_result(image)


def receipt_hash(receipt: Mapping[str, object]) -> str:
    """SHA-256 of a receipt as JSON with sorted keys and no spaces; empty for an empty one."""
    if not receipt:
        return ""
    text = json.dumps(receipt, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
