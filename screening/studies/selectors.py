"""Reading studies and images, for the views of this floor and those above."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.shortcuts import get_object_or_404

from screening.accounts.models import User
from screening.accounts.policies import Permission, require
from screening.studies.models import ConfirmedDiagnosis, Image, Study
from screening.studies.storage import StoredFile


def get_image(user: User | AnonymousUser, image_id: UUID) -> Image:
    """The image with its study, or ``Http404`` where ``user`` may not know of it."""
    return get_object_or_404(Image.objects.visible_to(user).select_related("study"), pk=image_id)


def get_image_to_take(user: User | AnonymousUser, image_id: UUID) -> Image:
    """The same for the file as it was sent: whoever works at the site may take that along.

    :raises Forbidden: the record is read in an emergency, which is for looking only.
    """
    image = get_image(user, image_id)
    require(user, Permission.VIEW_STUDIES, image.study.site_id)
    return image


def image_names_in_use(keys: Collection[UUID]) -> set[str]:
    """The stored names that the images with these keys point at."""
    rows = Image.objects.filter(pk__in=keys).values_list("original", "display", "thumbnail")
    return {name for row in rows for name in row}


def image_files(alias: str) -> Iterator[StoredFile]:
    """Every stored file of every image, for backups: no person asks, and no person is answered."""
    rows = Image.objects.using(alias).order_by("pk")
    for original, sha256, display, thumbnail in rows.values_list(
        "original", "sha256", "display", "thumbnail"
    ).iterator():
        yield StoredFile(original, sha256)
        yield StoredFile(display)
        yield StoredFile(thumbnail)


def get_study(user: User | AnonymousUser, study_id: UUID) -> Study:
    """The study with its patient, or ``Http404`` where ``user`` may not know of it."""
    return get_object_or_404(Study.objects.visible_to(user).select_related("patient"), pk=study_id)


def diagnoses_of(user: User | AnonymousUser, study: Study) -> list[ConfirmedDiagnosis]:
    """Everything recorded of what the study's patient had, the newest first."""
    found = ConfirmedDiagnosis.objects.visible_to(user).filter(study=study)
    return list(found.select_related("recorded_by", "superseded_by"))


def current_diagnosis(user: User | AnonymousUser, study: Study) -> ConfirmedDiagnosis | None:
    """What holds now of the study's patient; None where nothing is confirmed."""
    return next((row for row in diagnoses_of(user, study) if row.superseded_at is None), None)
