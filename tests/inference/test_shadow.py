"""A candidate in shadow answers too, is seen by nobody, and harms nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from screening.accounts.models import Site, User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden, InvalidInput
from screening.inference import activations, engine, packages, services, shadow
from screening.inference import broker as messages
from screening.inference.models import Job, Result, ShadowAnswer, ShadowRun
from screening.inference.packages import Package
from screening.patients.models import Patient
from screening.studies.models import Image, Status, Study
from tests.inference.stages import broker_at, job_of
from tests.inference.versions import damage, make_version
from tests.radiographs import png, receive, stored_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def candidate(tmp_path: Path, settings: Any) -> Package:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    settings.THORASCREEN_MODELS = str(shelf)
    return make_version(shelf, "9.1.0", bias=(9.0, 0.0, 0.0))


@pytest.fixture
def run(candidate: Package, north: Site, admin_a: User) -> ShadowRun:
    return shadow.start_shadow(actor=admin_a, site=north, package=candidate)


@pytest.fixture
def image(clinician_a: User, patient_a: Patient) -> Image:
    return receive(clinician_a, patient_a)


def answer_all() -> None:
    for key in ShadowAnswer.objects.filter(status=Status.QUEUED).values_list("pk", flat=True):
        shadow.answer(key)


def test_without_a_run_nothing_is_asked(image: Image) -> None:
    services.run_job(job_of(image).pk)
    assert not ShadowAnswer.objects.exists()


def test_the_candidate_is_asked_after_the_real_answer(
    run: ShadowRun, image: Image, media_root: Path
) -> None:
    assert not ShadowAnswer.objects.exists()
    services.run_job(job_of(image).pk)
    files = stored_files(media_root)
    waiting = ShadowAnswer.objects.get()
    assert (waiting.status, waiting.attempts, waiting.label) == (Status.QUEUED, 0, "")

    shadow.answer(waiting.pk)

    answer, result = ShadowAnswer.objects.get(), Result.objects.get()
    assert (answer.status, answer.label, answer.called) == (Status.DONE, "covid", True)
    assert answer.p_covid is not None
    assert answer.p_covid > 0.9
    assert str(answer.model_version) == "thorascreen 9.1.0"
    assert answer.receipt["input_sha256"] == image.sha256
    assert answer.receipt["output_sha256"] != result.receipt["output_sha256"]
    assert str(result.model_version) == str(packages.default_package())
    assert stored_files(media_root) == files, "no heatmap of a candidate is kept"
    event = Event.objects.get(action="shadow.answer")
    assert (event.site_id, event.detail["status"]) == (run.site_id, "done")


def test_an_answer_is_given_once(run: ShadowRun, image: Image) -> None:
    services.run_job(job_of(image).pk)
    answer_all()
    before = ShadowAnswer.objects.values().get()
    shadow.answer(before["id"])
    shadow.follow(image.pk, run.site_id)
    assert ShadowAnswer.objects.values().get() == before


def test_another_sites_images_are_not_asked_about(
    run: ShadowRun, clinician_b: User, patient_b: Patient
) -> None:
    theirs = receive(clinician_b, patient_b)
    services.run_job(job_of(theirs).pk)
    assert not ShadowAnswer.objects.exists()


@pytest.mark.parametrize("trouble", ["damaged", "gone", "file gone"])
def test_a_failing_shadow_harms_nothing(
    trouble: str, run: ShadowRun, candidate: Package, image: Image, media_root: Path
) -> None:
    engine._kept.clear()  # A worker that starts now; one that had loaded it whole would go on.
    if trouble == "damaged":
        damage(candidate)
    elif trouble == "gone":
        (candidate.folder / "manifest.json").unlink()
    services.run_job(job_of(image).pk)
    if trouble == "file gone":
        (media_root / image.original).unlink()
    before = (Job.objects.values().get(), Study.objects.values().get())
    answer_all()
    answer = ShadowAnswer.objects.get()
    codes = {"damaged": "model_hash_mismatch", "gone": "model_missing"}
    assert answer.status == Status.FAILED
    assert answer.code == codes.get(trouble, "image_missing")
    assert (Job.objects.values().get(), Study.objects.values().get()) == before
    assert before[0]["status"] == before[1]["status"] == Status.DONE


def test_a_broker_that_is_away_takes_nothing_from_the_real_answer(
    run: ShadowRun, image: Image
) -> None:
    with broker_at("redis://127.0.0.1:1/0"):
        services.run_job(job_of(image).pk)
    assert job_of(image).status == Status.DONE
    assert ShadowAnswer.objects.get().status == Status.QUEUED


def test_a_shadow_that_kills_its_worker_is_given_up(run: ShadowRun, image: Image) -> None:
    services.run_job(job_of(image).pk)
    key = ShadowAnswer.objects.get().pk
    for _ in range(shadow.MOST_ATTEMPTS):
        assert shadow._claim(key) is not None
        assert shadow._claim(key) is None, "somebody is at it"
        ShadowAnswer.objects.update(due_at=timezone.now())
    shadow.answer(key)
    answer = ShadowAnswer.objects.get()
    assert (answer.status, answer.code) == (Status.FAILED, "worker_lost")


def test_what_the_gate_refuses_is_kept_as_refused(
    run: ShadowRun, clinician_a: User, patient_a: Patient
) -> None:
    from tests.inference.test_jobs import no_radiograph

    services.run_job(job_of(receive(clinician_a, patient_a, no_radiograph())).pk)
    answer_all()
    answer = ShadowAnswer.objects.get()
    assert (answer.status, answer.code) == (Status.REFUSED, "not_a_radiograph")


# --- Switching ---------------------------------------------------------------------------------


def test_one_run_at_a_time(run: ShadowRun, north: Site, admin_a: User, candidate: Package) -> None:
    other = make_version(candidate.folder.parent, "9.2.0")
    with pytest.raises(Conflict) as caught:
        shadow.start_shadow(actor=admin_a, site=north, package=other)
    assert caught.value.code == "shadow_is_on"
    with pytest.raises(IntegrityError), transaction.atomic():
        ShadowRun.objects.create(
            site=north, model_version=run.model_version, fingerprint="x", started_by=admin_a
        )


def test_what_answers_and_what_is_broken_run_in_no_shadow(
    north: Site, admin_a: User, candidate: Package
) -> None:
    with pytest.raises(Conflict) as caught:
        shadow.start_shadow(actor=admin_a, site=north, package=packages.default_package())
    assert caught.value.code == "already_answers"
    damage(candidate)
    with pytest.raises(Conflict) as caught:
        shadow.start_shadow(actor=admin_a, site=north, package=packages.examine(candidate.folder))
    assert caught.value.code == "model_broken"


def test_only_the_own_sites_admins_switch(
    run: ShadowRun, north: Site, clinician_a: User, admin_b: User, candidate: Package
) -> None:
    for person in (clinician_a, admin_b):
        with pytest.raises(Forbidden):
            shadow.stop_shadow(actor=person, site=north)
        with pytest.raises(Forbidden):
            shadow.look_back(actor=person, site=north, count=5)
        with pytest.raises(Forbidden):
            shadow.start_shadow(actor=person, site=north, package=candidate)
    assert ShadowRun.objects.get().ended_at is None


def test_stopping_drops_what_waits_and_keeps_what_was_said(
    run: ShadowRun, north: Site, admin_a: User, clinician_a: User, patient_a: Patient
) -> None:
    services.run_job(job_of(receive(clinician_a, patient_a, png(1))).pk)
    answer_all()
    services.run_job(job_of(receive(clinician_a, patient_a, png(2))).pk)
    waiting = ShadowAnswer.objects.get(status=Status.QUEUED).pk
    shadow.stop_shadow(actor=admin_a, site=north)
    assert ShadowAnswer.objects.get().status == Status.DONE
    shadow.answer(waiting)
    services.run_job(job_of(receive(clinician_a, patient_a, png(3))).pk)
    assert ShadowAnswer.objects.count() == 1
    with pytest.raises(Conflict, match="No version runs"):
        shadow.stop_shadow(actor=admin_a, site=north)


def test_promoting_the_candidate_ends_its_run(
    run: ShadowRun, north: Site, admin_a: User, candidate: Package, image: Image
) -> None:
    activations.activate(
        actor=admin_a,
        site=north,
        package=candidate,
        reason="It does better here.",
        reviewed=True,
        seen=activations.answering_at(north.pk).mark,
        thresholds={},
    )
    services.run_job(job_of(image).pk)
    assert not ShadowAnswer.objects.exists()
    assert ShadowRun.objects.get().ended_by == admin_a


# --- Looking back ------------------------------------------------------------------------------


def test_looking_back_asks_about_the_newest_answered_images_once(
    north: Site,
    admin_a: User,
    candidate: Package,
    clinician_a: User,
    clinician_b: User,
    patient_a: Patient,
    patient_b: Patient,
) -> None:
    images = [receive(clinician_a, patient_a, png(seed)) for seed in (1, 2, 3)]
    theirs = receive(clinician_b, patient_b)
    for one in (*images[:2], theirs):
        services.run_job(job_of(one).pk)
    shadow.start_shadow(actor=admin_a, site=north, package=candidate)
    assert shadow.look_back(actor=admin_a, site=north, count=1) == 1
    assert ShadowAnswer.objects.get().image == images[1]
    assert shadow.look_back(actor=admin_a, site=north, count=10) == 1
    assert set(ShadowAnswer.objects.values_list("image", flat=True)) == {
        images[0].pk,
        images[1].pk,
    }
    assert shadow.look_back(actor=admin_a, site=north, count=10) == 0


@pytest.mark.parametrize("count", [0, -1, shadow.MOST_LOOKED_BACK + 1])
def test_looking_back_is_bounded(count: int, run: ShadowRun, north: Site, admin_a: User) -> None:
    with pytest.raises(InvalidInput) as caught:
        shadow.look_back(actor=admin_a, site=north, count=count)
    assert caught.value.field == "count"


# --- Messages ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_shadows_wait_behind_everything_else(
    run: ShadowRun, image: Image, broker: redis.Redis
) -> None:
    broker.flushall()
    services.run_job(job_of(image).pk)
    assert messages.messages_waiting(messages.SHADOW_QUEUE) == 1
    assert messages.messages_waiting() == 0, "the sweeper of real jobs must not count them"
    keys = [key.decode() for key in broker.keys("shadow*")]
    assert keys == ["shadow\x06\x169"], "the list that workers read last"


@pytest.mark.django_db(transaction=True)
def test_lost_messages_are_sent_again_and_no_others(
    run: ShadowRun, image: Image, broker: redis.Redis, settings: Any
) -> None:
    settings.INFERENCE_RESEND_AFTER_S = 0
    services.run_job(job_of(image).pk)
    assert shadow.send_overdue() == 0
    broker.flushall()
    assert shadow.send_overdue() == 1
    assert messages.messages_waiting(messages.SHADOW_QUEUE) == 1
    answer_all()
    broker.flushall()
    assert shadow.send_overdue() == 0


@pytest.mark.django_db(transaction=True)
def test_a_real_job_pays_two_small_queries_for_all_this(
    run: ShadowRun, image: Image, broker: redis.Redis, django_assert_max_num_queries: Any
) -> None:
    connection.ensure_connection()
    with django_assert_max_num_queries(1):
        activations.wanted_at(run.site_id)
    shadow.stop_shadow(actor=run.started_by, site=run.site)
    with django_assert_max_num_queries(1):
        shadow.follow(image.pk, run.site_id)
