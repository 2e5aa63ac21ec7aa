"""Reading jobs and results, for the views of this floor and those above."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Exists, Max, Min, OuterRef, Prefetch, QuerySet
from django.http import Http404

from screening.accounts.models import User
from screening.inference.models import Job, ModelVersion, Result
from screening.studies.models import Image, Study
from screening.studies.storage import StoredFile

StudyRows = QuerySet[Study, Study]


def latest_result(image: Image) -> Result | None:
    """The newest result of ``image``; asks the database only where nothing was prefetched."""
    return next(iter(image.results.all()), None)


def job_of(image: Image) -> Job | None:
    """The job of ``image``; every stored image has one, unless it is older than this portal."""
    try:
        return image.job
    except Job.DoesNotExist:
        return None


def with_results(studies: StudyRows) -> StudyRows:
    """``studies`` with their images, jobs, results and models, in a fixed number of queries."""
    results = Result.objects.select_related("model_version").defer(
        "receipt", "model_version__manifest"
    )
    images = Image.objects.select_related("job").prefetch_related(Prefetch("results", results))
    return studies.prefetch_related(Prefetch("images", images))


def with_label(studies: StudyRows, label: str) -> StudyRows:
    """The ``studies`` with an image whose newest result is ``label``."""
    newer = Result.objects.filter(image=OuterRef("image"), created_at__gt=OuterRef("created_at"))
    found = Result.objects.filter(~Exists(newer), label=label)
    return studies.filter(pk__in=found.values("image__study_id"))


def get_result_of_image(user: User | AnonymousUser, image_id: UUID) -> Result:
    """The newest result of an image, or ``Http404`` where there is none that ``user`` may see."""
    results = Result.objects.visible_to(user).filter(image=image_id)
    result = results.select_related("image__study").defer("receipt").first()
    if result is None:
        raise Http404
    return result


@dataclass(frozen=True)
class ModelUse:
    """One model version and what it has done at the sites of the person who asks."""

    version: ModelVersion
    results: int
    first: datetime
    last: datetime


def models_used(user: User | AnonymousUser) -> list[ModelUse]:
    """Every model version behind results that ``user`` may see, the latest used first."""
    seen = (
        Result.objects.visible_to(user)
        .order_by()
        .values("model_version")
        .annotate(results=Count("pk"), first=Min("created_at"), last=Max("created_at"))
    )
    versions = ModelVersion.objects.defer("manifest").in_bulk(
        [row["model_version"] for row in seen]
    )
    found = [
        ModelUse(versions[row["model_version"]], row["results"], row["first"], row["last"])
        for row in seen
    ]
    return sorted(found, key=lambda use: (use.last, str(use.version.pk)), reverse=True)


def get_model_used(user: User | AnonymousUser, version_id: UUID) -> ModelUse:
    """A model version, or ``Http404`` where it stands behind no result that ``user`` may see."""
    results = Result.objects.visible_to(user).filter(model_version=version_id).order_by()
    seen = results.aggregate(results=Count("pk"), first=Min("created_at"), last=Max("created_at"))
    if not seen["results"]:
        raise Http404
    return ModelUse(ModelVersion.objects.get(pk=version_id), **seen)


def heatmap_names_in_use(keys: Collection[UUID]) -> set[str]:
    """The stored names that the results with these keys point at."""
    return set(Result.objects.filter(pk__in=keys).values_list("heatmap", flat=True))


def heatmap_files(alias: str) -> Iterator[StoredFile]:
    """Every stored heatmap, for backups: no person asks, and no person is answered."""
    rows = Result.objects.using(alias).exclude(heatmap="").order_by("pk")
    found = rows.values_list("heatmap", "receipt__heatmap_sha256")
    return (StoredFile(name, sha256 or "") for name, sha256 in found.iterator())
