"""Who may see what: the AI's answers, readings, and discrepancies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.http import Http404

from screening.reading.blind_first import hidden_since
from screening.reading.models import FirstImpression, Reading
from screening.studies.models import Image, Study

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from screening.accounts.models import User


def answers_hidden(user: User | AnonymousUser, studies: Iterable[Study]) -> frozenset[UUID]:
    """The keys of those ``studies`` whose AI answer ``user`` may not see yet.

    One query where no site reads blind first, three at most, however many studies.
    """
    found = list(studies)
    if not found:
        return frozenset()
    since = hidden_since({study.site_id for study in found})
    closed = {
        study.pk
        for study in found
        if study.site_id in since and study.created_at >= since[study.site_id]
    }
    if not closed:
        return frozenset()
    opened = Reading.objects.filter(study__in=closed).filter(
        Q(signed_at__isnull=False) | Q(reader_id=user.pk, first_impression__isnull=False)
    )
    return frozenset(closed - set(opened.values_list("study_id", flat=True)))


def answer_hidden(user: User | AnonymousUser, study: Study) -> bool:
    """Whether the AI's answer to ``study`` must not be shown to ``user`` yet."""
    return bool(answers_hidden(user, [study]))


def answer_shown_to(user: User | AnonymousUser) -> Q:
    """The same rule as a condition on studies, for lists that are narrowed by an answer.

    A filter or an order that rests on the AI's answer tells of the answer; so it must only ever
    see the studies for which this holds.
    """
    closed = Q(pk__in=[])
    for site_id, moment in hidden_since().items():
        closed |= Q(site=site_id, created_at__gte=moment)
    own = FirstImpression.objects.filter(reading__study=OuterRef("pk"), reading__reader=user.pk)
    signed = Reading.objects.signed().filter(study=OuterRef("pk"))
    return ~closed | Exists(own) | Exists(signed)


def reading_of(user: User | AnonymousUser, study: Study) -> Reading | None:
    """The user's own reading of ``study``, draft or signed."""
    rows = Reading.objects.visible_to(user).filter(study=study, reader_id=user.pk)
    return rows.select_related("first_impression", "reader").first()


def signed_readings(user: User | AnonymousUser, study: Study) -> list[Reading]:
    """The signed readings of a study with their addenda, the reading of record first."""
    rows = Reading.objects.visible_to(user).signed().filter(study=study)
    return list(
        rows.select_related("reader", "first_impression", "discrepancy__resolved_by")
        .prefetch_related("addenda__author")
        .order_by("-of_record", "signed_at", "id")
    )


def get_signed_reading(user: User | AnonymousUser, reading_id: UUID) -> Reading:
    """A signed reading with its study, or ``Http404`` where ``user`` may not know of it."""
    rows = Reading.objects.visible_to(user).signed().select_related("study__patient", "reader")
    reading = rows.filter(pk=reading_id).first()
    if reading is None:
        raise Http404
    return reading


def answer_hidden_of_image(user: User | AnonymousUser, image: Image) -> bool:
    """The same for one image of a study."""
    return answer_hidden(user, image.study)
