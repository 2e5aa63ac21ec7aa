"""A patient's studies in the order of time: what was read, what was confirmed, and two beside
each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.http import Http404
from django.utils import timezone

from screening.accounts.models import User
from screening.audit.services import record
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading.models import Reading
from screening.record.cards import ImageCard, StudyCard, cards_for
from screening.record.selectors import studies_for
from screening.studies.models import ConfirmedDiagnosis, Study

MOST_OFFERED = 24
"""So many of a patient's newest studies stand in the trend and are offered for a comparison."""


@dataclass(frozen=True)
class Entry:
    """One study on the case record. ``diagnosis`` is None also where it is hidden."""

    card: StudyCard
    reading: Reading | None
    diagnosis: ConfirmedDiagnosis | None

    @property
    def study(self) -> Study:
        return self.card.study

    @property
    def day(self) -> date:
        return day_of(self.study)

    @property
    def leading(self) -> ImageCard | None:
        """The image that answers for the study: the one least like normal (``reading.answers``)."""
        return leading_image(self.card)


def day_of(study: Study) -> date:
    """The day on which the film was taken, else the day on which it came."""
    return study.taken_on or timezone.localdate(study.created_at)


def leading_image(card: StudyCard) -> ImageCard | None:
    """The image least like normal of those with an answer that may be shown."""
    answered = [(i.result.p_normal, str(i.result.pk), i) for i in card.images if i.result]
    return min(answered)[2] if answered else None


def entries_for(user: User, cards: Sequence[StudyCard]) -> list[Entry]:
    """The studies of ``cards`` with their readings of record and diagnoses, in two queries."""
    keys = [card.study.pk for card in cards]
    readings = Reading.objects.visible_to(user).filter(study__in=keys, of_record=True)
    diagnoses = ConfirmedDiagnosis.objects.visible_to(user).current().filter(study__in=keys)
    read = {row.study_id: row for row in readings.select_related("reader")}
    confirmed = {row.study_id: row for row in diagnoses}
    return [
        Entry(
            card,
            read.get(card.study.pk),
            # Whoever has to read first is not told the truth first either.
            None if card.hidden else confirmed.get(card.study.pk),
        )
        for card in cards
    ]


def newest_of(user: User, patient: Patient) -> list[Entry]:
    """The patient's newest studies, newest first."""
    studies = studies_for(user).filter(patient=patient)[:MOST_OFFERED]
    return entries_for(user, cards_for(user, studies))


# --- Two studies beside each other -------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One class in both studies. Shares are None where there is no answer to be shown."""

    name: str
    earlier: float | None
    later: float | None

    @property
    def points(self) -> int | None:
        """By how many percentage points the share has changed."""
        if self.earlier is None or self.later is None:
            return None
        return round((self.later - self.earlier) * 100)


@dataclass(frozen=True)
class Comparison:
    """Two studies of one patient, the left and the right one, and all that are offered."""

    left: Entry
    right: Entry
    offered: list[Entry]

    @property
    def changes(self) -> list[Change]:
        shares = [_shares(self.left.leading), _shares(self.right.leading)]
        return [
            Change(str(label.label), shares[0].get(label.value), shares[1].get(label.value))
            for label in Label
        ]

    @property
    def models_differ(self) -> bool:
        """Whether two different models have answered, so that the shares do not compare."""
        sides = (self.left.leading, self.right.leading)
        models = {str(image.result.model_version) for image in sides if image and image.result}
        return len(models) > 1

    @property
    def is_same(self) -> bool:
        return self.left.study.pk == self.right.study.pk


def compare(*, actor: User, patient: Patient, left: str, right: str) -> Comparison | None:
    """Two of the patient's studies; None where there are none at all.

    ``left`` and ``right`` are keys; where one is empty the newest study that is not on the other
    side is taken, the older one left. ``patient`` was found by ``visible_to(actor)``.

    :raises Http404: a key names no study of this patient.
    """
    offered = newest_of(actor, patient)
    if not offered:
        return None
    second = _find(actor, patient, offered, right) or _beside(offered, left)
    first = _find(actor, patient, offered, left) or _before(offered, second)
    detail = {"left": str(first.study.pk), "right": str(second.study.pk)}
    record("study.compare", patient, actor=actor, detail=detail)
    return Comparison(first, second, offered)


def _find(actor: User, patient: Patient, offered: Iterable[Entry], key: str) -> Entry | None:
    """The study named by ``key``, also one too old to be offered."""
    if not key:
        return None
    try:
        wanted = UUID(key)
    except ValueError:
        raise Http404 from None
    for entry in offered:
        if entry.study.pk == wanted:
            return entry
    studies = studies_for(actor).filter(patient=patient, pk=wanted)
    found = entries_for(actor, cards_for(actor, studies))
    if not found:
        raise Http404
    return found[0]


def _beside(offered: Sequence[Entry], key: str) -> Entry:
    """The newest study that is not ``key``; the only one there is where there is no other."""
    return next((e for e in offered if str(e.study.pk) != key), offered[0])


def _before(offered: Sequence[Entry], other: Entry) -> Entry:
    """The newest study before ``other``, else the oldest after it, else itself."""
    rest = [entry for entry in offered if entry.study.pk != other.study.pk]
    older = [e for e in rest if e.study.created_at <= other.study.created_at]
    return next(iter(older or rest[::-1]), other)


def _shares(image: ImageCard | None) -> dict[str, float]:
    return image.result.probabilities if image is not None and image.result else {}
