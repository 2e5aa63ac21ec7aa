"""Several model versions in real worker processes: each site its own, shadows behind all else."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import override_settings

from screening.accounts.models import Site, User
from screening.inference import activations, services, shadow
from screening.inference.models import Job, Result, ShadowAnswer
from screening.inference.packages import Package
from screening.patients.models import Patient
from screening.studies.models import Status
from tests.inference.versions import damage, make_version
from tests.personas import *  # noqa: F403  (fixtures)
from tests.radiographs import png, receive
from tests.services.kit import WorkerProcess, wait_for
from tests.services.test_jobs import wait_until_over

pytestmark = [
    pytest.mark.services,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("broker"),
]

QUEUES = "inference,default,shadow"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def second(shelf: Path) -> Package:
    return make_version(shelf, "9.1.0", bias=(9.0, 0.0, 0.0))


def promote(actor: User, site: Site, package: Package) -> None:
    activations.activate(
        actor=actor,
        site=site,
        package=package,
        reason="To see both at work.",
        reviewed=True,
        seen=activations.answering_at(site.pk).mark,
        thresholds={},
    )


def all_shadows_over() -> bool:
    return not ShadowAnswer.objects.filter(status=Status.QUEUED).exists()


def test_each_site_is_answered_by_its_own_version_at_any_concurrency(
    shelf: Path,
    second: Package,
    tmp_path: Path,
    north: Site,
    south: Site,
    admin_a: User,
    admin_b: User,
    patient_a: Patient,
    patient_b: Patient,
) -> None:
    with override_settings(THORASCREEN_MODELS=str(shelf)):
        promote(admin_a, north, second)
        shadow.start_shadow(actor=admin_b, site=south, package=second)
    images = []
    for _ in range(6):
        images.append(receive(admin_a, patient_a, png(3)))
        images.append(receive(admin_b, patient_b, png(3)))
    with WorkerProcess(
        tmp_path,
        concurrency=2,
        queues=QUEUES,
        environment={"THORASCREEN_MODELS": str(shelf)},
    ) as worker:
        jobs = wait_until_over(*images, seconds=60)
        wait_for(
            lambda: ShadowAnswer.objects.count() == 6 and all_shadows_over(),
            seconds=60,
            what="the candidate's answers",
        )
        assert len(worker.children()) == 2
    assert {job.status for job in jobs} == {Status.DONE}
    outputs: dict[object, set[str]] = {north.pk: set(), south.pk: set()}
    for result in Result.objects.select_related("image__study", "model_version"):
        outputs[result.image.study.site_id].add(result.receipt["output_sha256"])
        is_second = result.model_version.version == "9.1.0"
        assert is_second == (result.image.study.site_id == north.pk)
    assert [len(found) for found in outputs.values()] == [1, 1]
    said = {answer.receipt["output_sha256"] for answer in ShadowAnswer.objects.all()}
    assert said == outputs[north.pk], "a candidate says what it would say as the active version"


def test_shadows_wait_until_all_real_work_is_done(
    shelf: Path,
    second: Package,
    tmp_path: Path,
    north: Site,
    admin_a: User,
    patient_a: Patient,
) -> None:
    with override_settings(THORASCREEN_MODELS=str(shelf)):
        shadow.start_shadow(actor=admin_a, site=north, package=second)
    early = [receive(admin_a, patient_a, png(seed)) for seed in (1, 2, 3)]
    for job in Job.objects.filter(image__in=early):
        services.run_job(job.pk)
    late = [receive(admin_a, patient_a, png(seed)) for seed in (4, 5, 6)]
    with WorkerProcess(tmp_path, queues=QUEUES, environment={"THORASCREEN_MODELS": str(shelf)}):
        wait_until_over(*late, seconds=60)
        wait_for(
            lambda: ShadowAnswer.objects.count() == 6 and all_shadows_over(),
            seconds=60,
            what="the candidate's answers",
        )
    real = Result.objects.filter(image__in=late).order_by("-created_at").first()
    first = ShadowAnswer.objects.order_by("updated_at").first()
    assert real is not None
    assert first is not None
    assert real.created_at < first.updated_at


def test_a_broken_version_stops_its_own_site_only(
    shelf: Path,
    second: Package,
    tmp_path: Path,
    north: Site,
    admin_a: User,
    admin_b: User,
    patient_a: Patient,
    patient_b: Patient,
) -> None:
    with override_settings(THORASCREEN_MODELS=str(shelf)):
        promote(admin_a, north, second)
    damage(second)
    ours, theirs = receive(admin_a, patient_a), receive(admin_b, patient_b)
    with WorkerProcess(tmp_path, environment={"THORASCREEN_MODELS": str(shelf)}) as worker:
        broken, whole = wait_until_over(ours, theirs)
        assert "the model was not loaded: model_hash_mismatch (thorascreen 9.1.0)" in worker.log()
    assert (broken.status, broken.code) == (Status.FAILED, "model_hash_mismatch")
    assert whole.status == Status.DONE
    assert not Result.objects.filter(image=ours).exists()
