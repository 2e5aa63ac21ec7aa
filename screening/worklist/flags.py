"""Whether the AI has flagged a study, and to whom the list may show that.

At a site that reads blind first the flag is part of the answer that stays hidden. An order or a
filter by flag would tell of it as well as a badge does. So there the list stays in the order of
arrival whatever its rule says, and the filter by flag finds only what the person may know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q

from screening.accounts.models import User
from screening.inference.models import Result
from screening.reading.models import FirstImpression


def flagged_among(study_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the studies with an image whose newest result calls COVID-19.

    Called means at or above the operating point, which the result carries with it.
    """
    newest: dict[UUID, tuple[UUID, object]] = {}
    rows = (
        Result.objects.filter(image__study__in=list(study_ids))
        .order_by("created_at")
        .values_list("image_id", "image__study_id", "evidence__operating_point__called")
    )
    for image_id, study_id, called in rows:
        newest[image_id] = (study_id, called)
    return {study_id for study_id, called in newest.values() if called is True}


def flag_known_to(
    user: User | AnonymousUser, site_id: UUID, hidden_since: Mapping[UUID, datetime]
) -> Q:
    """The entries of one site whose flag ``user`` may know, as a condition on entries.

    Says of unread studies what ``reading.selectors.answer_shown_to`` says of all; asks the
    database for impressions only where the site reads blind first.
    """
    if site_id not in hidden_since:
        return Q()
    own = FirstImpression.objects.filter(reading__study=OuterRef("study"), reading__reader=user.pk)
    return Q(arrived_at__lt=hidden_since[site_id]) | Q(Exists(own))
