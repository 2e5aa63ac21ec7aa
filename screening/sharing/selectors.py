"""Reading exports: whose they are, and which studies one may be made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Sum
from django.http import Http404
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.core.errors import Forbidden, InvalidInput
from screening.reading.selectors import answers_hidden
from screening.sharing.models import Export
from screening.studies.models import Image, Study
from screening.studies.storage import StoredFile

EXPORTS = "exports"
"""The folder of finished ZIP files in private storage."""
MOST_STUDIES = 100
MOST_IMAGES = 200
MOST_BYTES = 1024 * 1024 * 1024
LISTED = 50


@dataclass(frozen=True)
class Selection:
    """Studies of one site that may be exported together."""

    studies: list[Study]
    images: int
    size_bytes: int

    @property
    def site_id(self) -> UUID:
        return self.studies[0].site_id


def select_studies(user: User, keys: Collection[UUID]) -> Selection:
    """The studies with these keys, in the order of their arrival.

    :raises Http404: one of them is not there for ``user``.
    :raises Forbidden: ``user`` may see them but not export them.
    :raises InvalidInput: none, too many, or of several sites.
    """
    if not keys:
        raise InvalidInput(_("Choose at least one study."), code="nothing_chosen")
    if len(set(keys)) > MOST_STUDIES:
        raise _too_much()
    rows = Study.objects.visible_to(user).filter(pk__in=keys).select_related("patient")
    studies = list(rows.order_by("created_at", "id"))
    if len(studies) != len(set(keys)):
        raise Http404
    for site_id in {study.site_id for study in studies}:
        policies.require(user, Permission.EXPORT_DEIDENTIFIED, site_id)
    if len({study.site_id for study in studies}) > 1:
        raise InvalidInput(_("Export the studies of each site by themselves."), code="many_sites")
    found = Image.objects.filter(study__in=studies).aggregate(n=Count("pk"), b=Sum("size_bytes"))
    if found["n"] > MOST_IMAGES or (found["b"] or 0) > MOST_BYTES:
        raise _too_much()
    return Selection(studies, found["n"], found["b"] or 0)


def exports_of(user: User | AnonymousUser) -> list[Export]:
    """The newest exports that ``user`` may see."""
    rows = Export.objects.visible_to(user).select_related("requested_by")
    return list(rows.annotate(study_count=Count("studies"))[:LISTED])


def get_export(user: User | AnonymousUser, export_id: UUID) -> Export:
    """An export, or ``Http404`` where ``user`` may not know of it."""
    rows = Export.objects.visible_to(user).select_related("requested_by", "site", "looked_by")
    export = rows.filter(pk=export_id).first()
    if export is None:
        raise Http404
    return export


def refuse_hidden(user: User, studies: Iterable[Study]) -> None:
    """Raise ``Forbidden`` where an answer that went along is hidden from ``user``."""
    if answers_hidden(user, studies):
        raise Forbidden(
            _(
                "The export holds answers of the AI to studies that you have to read first. "
                "Record your first impressions, or ask for an export of your own."
            ),
            code="answer_hidden",
        )


def file_names_in_use(keys: Collection[UUID]) -> set[str]:
    """The stored names that the exports with these keys point at."""
    return set(Export.objects.filter(pk__in=keys).values_list("file", flat=True))


def _too_much() -> InvalidInput:
    return InvalidInput(
        _("An export holds up to %(studies)s studies, %(images)s images and %(size)s MB.")
        % {"studies": MOST_STUDIES, "images": MOST_IMAGES, "size": MOST_BYTES // 1024 // 1024},
        code="too_many_studies",
    )


def export_files(alias: str) -> Iterator[StoredFile]:
    """Every export that is not removed yet, for backups: no person asks, none is answered."""
    rows = Export.objects.using(alias).exclude(file="").order_by("pk")
    return (StoredFile(*row) for row in rows.values_list("file", "sha256").iterator())
