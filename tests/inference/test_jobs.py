"""The life of a job, with the released model."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings as django_settings
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone
from PIL import Image as Picture

from ml.package import default_path
from screening.accounts.models import User
from screening.audit.models import Event
from screening.core.errors import Conflict, Forbidden
from screening.inference import engine, failures, services
from screening.inference.models import Job, ModelVersion, Result
from screening.patients.models import Patient
from screening.studies import storage
from screening.studies.models import Image, Status, Study
from tests import radiographs
from tests.inference.stages import (
    job_of,
    let_back_off_pass,
    let_lease_end,
    let_worker_die,
)
from tests.radiographs import receive, stored_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def image(clinician_a: User, patient_a: Patient) -> Image:
    return receive(clinician_a, patient_a)


def no_radiograph() -> bytes:
    """A photograph of nothing: a picture in colour."""
    ramp = np.linspace(0, 255, 320, dtype=np.uint8)
    colours = np.zeros((320, 320, 3), np.uint8)
    colours[..., 0], colours[..., 1] = ramp, ramp[:, None]
    stream = io.BytesIO()
    Picture.fromarray(colours).save(stream, "PNG")
    return stream.getvalue()


def status_everywhere(image: Image) -> set[str]:
    """What job, image and study say; one word if they agree."""
    return {
        job_of(image).status,
        Image.objects.get(pk=image.pk).status,
        Study.objects.get(pk=image.study_id).status,
    }


# --- The straight way --------------------------------------------------------------------------


def test_a_new_image_is_queued(image: Image) -> None:
    job = job_of(image)
    assert status_everywhere(image) == {Status.QUEUED}
    assert (job.attempts, job.code, job.worker) == (0, "", "")


def test_a_job_ends_with_a_result(image: Image, media_root: Path) -> None:
    services.run_job(job_of(image).pk)

    job, result = job_of(image), Result.objects.get()
    assert status_everywhere(image) == {Status.DONE}
    assert (job.attempts, job.code, job.message, job.lease_expires_at) == (1, "", "", None)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.started_at <= job.finished_at
    assert result.image == image
    assert result.label == max(result.probabilities, key=result.probabilities.__getitem__)
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert result.runtime == django_settings.INFERENCE_RUNTIME
    assert result.milliseconds > 0
    heatmap = Picture.open(io.BytesIO(storage.read(result.heatmap)))
    assert (heatmap.format, heatmap.mode, heatmap.size) == ("PNG", "P", (320, 320))
    assert result.heatmap == f"heatmaps/{result.pk.hex[:2]}/{result.pk}.png"
    assert len(stored_files(media_root)) == 4


def test_the_result_names_the_released_model(image: Image) -> None:
    services.run_job(job_of(image).pk)
    manifest = json.loads((default_path() / "manifest.json").read_text())
    version = ModelVersion.objects.get()
    assert (version.name, version.version) == (manifest["name"], manifest["version"])
    assert version.weights_sha256 == manifest["sha256"]["model.keras"]
    assert version.manifest == manifest


def test_the_receipt_can_be_checked(image: Image) -> None:
    services.run_job(job_of(image).pk)
    result = Result.objects.get()
    receipt = result.receipt
    assert receipt["input_sha256"] == image.sha256
    assert receipt["input_sha256"] == hashlib.sha256(storage.read(image.original)).hexdigest()
    for name, sha256 in receipt["files_sha256"].items():
        assert hashlib.sha256((default_path() / name).read_bytes()).hexdigest() == sha256
    assert receipt["heatmap_sha256"] == hashlib.sha256(storage.read(result.heatmap)).hexdigest()
    # The outline is for viewers; answers had receipts before there was one.
    carried = {key: value for key, value in result.evidence.items() if key != "lung_outline"}
    assert len(result.evidence["lung_outline"]) == 2
    output = {
        "label": result.label,
        "probabilities": result.probabilities,
        "logits": receipt["logits"],
        "evidence": carried,
    }
    text = json.dumps(output, sort_keys=True, separators=(",", ":"))
    assert receipt["output_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_the_answer_says_how_far_it_can_be_trusted(image: Image) -> None:
    services.run_job(job_of(image).pk)
    evidence = Result.objects.get().evidence
    assert set(evidence["prediction_set"]) <= {"covid", "pneumonia", "normal"}
    assert evidence["uncertain"] == (len(evidence["prediction_set"]) != 1)
    assert evidence["coverage"] == 0.9
    assert evidence["operating_point"]["sensitivity"] >= 0.9
    assert evidence["shortcut"]["verdict"] in {"reliable", "unreliable", "unknown"}
    assert 0 <= evidence["shortcut"]["evidence_in_lungs"] <= 1
    assert evidence["caution"]["code"] == "unfamiliar", "a drawing is unlike any film"


def test_thresholds_of_another_model_are_not_used(
    image: Image, tmp_path: Path, settings: Any
) -> None:
    package = shutil.copytree(default_path(), tmp_path / "model")
    trust = json.loads((package / "trust.json").read_text())
    trust["fitted_for"] = {key: "0" * 64 for key in trust["fitted_for"]}
    (package / "trust.json").write_text(json.dumps(trust))
    settings.THORASCREEN_MODEL = str(package)
    services.run_job(job_of(image).pk)
    assert (job_of(image).status, job_of(image).code) == (Status.FAILED, "model_hash_mismatch")
    assert not Result.objects.exists()


def test_a_model_without_thresholds_answers_without(
    image: Image, tmp_path: Path, settings: Any
) -> None:
    package = shutil.copytree(default_path(), tmp_path / "model")
    (package / "trust.json").unlink()
    settings.THORASCREEN_MODEL = str(package)
    services.run_job(job_of(image).pk)
    assert Result.objects.get().evidence == {}


def test_the_end_is_in_the_audit_and_names_nobody(image: Image) -> None:
    services.run_job(job_of(image).pk)
    event = Event.objects.get(action="result.create")
    assert (event.actor_name, event.site_id) == ("system", image.study.site_id)
    assert event.detail == {"image": str(image.pk)}


@pytest.mark.parametrize("draw", [radiographs.png, radiographs.jpeg, radiographs.dicom])
def test_every_format_is_classified(draw: Any, clinician_a: User, patient_a: Patient) -> None:
    image = receive(clinician_a, patient_a, draw(2))
    services.run_job(job_of(image).pk)
    assert status_everywhere(image) == {Status.DONE}


def test_the_same_picture_always_gets_the_same_answer(
    clinician_a: User, patient_a: Patient
) -> None:
    for _ in range(4):
        services.run_job(job_of(receive(clinician_a, patient_a, radiographs.png(3))).pk)
        services.run_job(job_of(receive(clinician_a, patient_a, radiographs.jpeg(4))).pk)
    of_the_png = Result.objects.filter(image__format="png")
    assert len({r.receipt["output_sha256"] for r in of_the_png}) == 1
    assert len({r.receipt["heatmap_sha256"] for r in of_the_png}) == 1
    assert ModelVersion.objects.count() == 1


# --- What comes twice --------------------------------------------------------------------------


def test_a_second_message_finds_nothing_to_do(image: Image, media_root: Path) -> None:
    services.run_job(job_of(image).pk)
    before = (Job.objects.values().get(), Result.objects.values().get(), stored_files(media_root))
    services.run_job(job_of(image).pk)
    assert (
        Job.objects.values().get(),
        Result.objects.values().get(),
        stored_files(media_root),
    ) == before


def test_a_message_for_a_job_that_does_not_exist_is_dropped(image: Image) -> None:
    services.run_job(image.pk)  # some other UUID
    assert status_everywhere(image) == {Status.QUEUED}


@pytest.mark.django_db(transaction=True)
def test_only_one_of_many_workers_gets_the_job(image: Image) -> None:
    job_id = job_of(image).pk
    start = threading.Barrier(6)
    claims: list[services.Claim | None] = []
    troubles: list[BaseException] = []

    def claim() -> None:
        try:
            start.wait(timeout=20)
            claims.append(services.claim_job(job_id))
        except BaseException as trouble:
            troubles.append(trouble)
        finally:
            connection.close()

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert troubles == []
    assert sum(found is not None for found in claims) == 1
    assert job_of(image).attempts == 1


def test_a_running_job_is_left_to_its_worker(image: Image) -> None:
    assert services.claim_job(job_of(image).pk) is not None
    assert services.claim_job(job_of(image).pk) is None
    assert job_of(image).attempts == 1


def test_a_worker_back_from_the_dead_changes_nothing(image: Image, media_root: Path) -> None:
    """Its lease ran out, another worker took over: the late one may not overwrite."""
    late = services.claim_job(job_of(image).pk)
    assert late is not None
    let_lease_end(image)
    services.run_job(job_of(image).pk)
    before = (Job.objects.values().get(), Result.objects.values().get(), stored_files(media_root))

    verdict = engine.look(image.original, image.sha256)
    assert not services.finish_job(late, verdict)
    assert not services.try_later(late, failures.TransientFailure("timed_out"))
    assert not services.fail_job(late, failures.PermanentFailure("corrupt_image"))

    assert (
        Job.objects.values().get(),
        Result.objects.values().get(),
        stored_files(media_root),
    ) == before
    assert job_of(image).attempts == 2


def test_a_worker_whose_job_was_given_to_another_can_not_end_it(image: Image) -> None:
    late = services.claim_job(job_of(image).pk)
    assert late is not None
    let_lease_end(image)
    assert services.claim_job(job_of(image).pk) is not None
    before = Job.objects.values().get()
    verdict = engine.look(image.original, image.sha256)
    assert not services.finish_job(late, verdict)
    assert not services.fail_job(late, failures.PermanentFailure("corrupt_image"))
    assert not services.try_later(late, failures.TransientFailure("timed_out"))
    assert Job.objects.values().get() == before


def test_a_sweeper_that_looked_too_long_ago_takes_nothing_away(image: Image) -> None:
    services.claim_job(job_of(image).pk)
    let_lease_end(image)
    as_seen = job_of(image)
    assert services.claim_job(job_of(image).pk) is not None, "another worker was quicker"
    before = Job.objects.values().get()
    assert not services.recover_job(as_seen)
    assert not services.give_up(as_seen)
    assert Job.objects.values().get() == before


def test_a_worker_from_before_a_retry_changes_nothing(image: Image, clinician_a: User) -> None:
    """The attempt's number comes again after a retry by hand; the generation does not."""
    late = services.claim_job(job_of(image).pk)
    assert late is not None
    services.fail_job(late, failures.PermanentFailure("corrupt_image"))
    services.retry_job(actor=clinician_a, image=image)
    assert services.claim_job(job_of(image).pk) is not None
    assert job_of(image).attempts == late.attempt
    assert not services.fail_job(late, failures.PermanentFailure("corrupt_image"))
    assert job_of(image).status == Status.RUNNING


# --- What goes wrong ---------------------------------------------------------------------------


def test_a_worker_that_is_gone_loses_its_job_at_once(image: Image) -> None:
    services.claim_job(job_of(image).pk)
    let_worker_die(image)
    services.run_job(job_of(image).pk)
    assert status_everywhere(image) == {Status.DONE}
    assert job_of(image).attempts == 2


def test_an_image_that_kills_every_worker_is_given_up(image: Image) -> None:
    for attempt in (1, 2, 3):
        assert services.claim_job(job_of(image).pk) is not None
        assert job_of(image).attempts == attempt
        let_worker_die(image)
    assert services.claim_job(job_of(image).pk) is None
    job = job_of(image)
    assert status_everywhere(image) == {Status.FAILED}
    assert (job.code, job.attempts) == ("worker_lost", 3)
    assert job.message == failures.MESSAGES["worker_lost"]
    event = Event.objects.get(action="job.fail")
    assert (event.outcome, event.detail["code"]) == ("failed", "worker_lost")


def break_store(image: Image) -> Path:
    """Reading the file fails as with a broken disk: there is a folder where it was."""
    path = Path(default_storage.path(image.original))
    path.rename(path.with_suffix(".aside"))
    path.mkdir()
    return path


def mend_store(path: Path) -> None:
    path.rmdir()
    path.with_suffix(".aside").rename(path)


def test_a_store_that_fails_is_asked_again_later(image: Image) -> None:
    path = break_store(image)
    services.run_job(job_of(image).pk)
    job = job_of(image)
    assert status_everywhere(image) == {Status.QUEUED}
    assert (job.attempts, job.code) == (1, "storage_unavailable")
    assert job.available_at > timezone.now()

    services.run_job(job.pk)
    assert job_of(image).attempts == 1, "before the back-off is over there is nothing to claim"

    mend_store(path)
    let_back_off_pass(image)
    services.run_job(job.pk)
    assert status_everywhere(image) == {Status.DONE}
    assert (job_of(image).attempts, job_of(image).code) == (2, "")


def test_a_store_that_keeps_failing_is_given_up_after_three_times(image: Image) -> None:
    break_store(image)
    for _ in range(5):
        services.run_job(job_of(image).pk)
        let_back_off_pass(image)
    job = job_of(image)
    assert status_everywhere(image) == {Status.FAILED}
    assert (job.attempts, job.code) == (3, "storage_unavailable")
    assert job.message == failures.MESSAGES["storage_unavailable"]


def test_the_back_off_doubles_and_is_spread(settings: Any) -> None:
    settings.INFERENCE_RETRY_BASE_S = 2.0
    for attempt, (low, high) in {1: (1, 3), 2: (2, 6), 3: (4, 12), 9: (60, 60)}.items():
        waits = {services.back_off_s(attempt) for _ in range(50)}
        assert low <= min(waits)
        assert max(waits) <= high
        assert attempt == 9 or len(waits) > 40


@contextmanager
def interrupted(what: type[Exception], after_s: float) -> Iterator[None]:
    """Raise ``what`` after a while, wherever the program then is: as the time limit's signal."""

    def interrupt(*_: object) -> None:
        raise what

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, after_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("what", "code"), [(SoftTimeLimitExceeded, "timed_out"), (MemoryError, "out_of_memory")]
)
def test_an_interrupted_job_is_tried_again(what: type[Exception], code: str, image: Image) -> None:
    path = Path(default_storage.path(image.original))
    aside = path.rename(path.with_suffix(".aside"))
    os.mkfifo(path)  # whoever opens it waits
    with interrupted(what, 0.5):
        services.run_job(job_of(image).pk)
    assert status_everywhere(image) == {Status.QUEUED}
    assert (job_of(image).attempts, job_of(image).code) == (1, code)
    aside.rename(path)
    let_back_off_pass(image)
    services.run_job(job_of(image).pk)
    assert status_everywhere(image) == {Status.DONE}


@pytest.mark.parametrize("what", [SoftTimeLimitExceeded, MemoryError])
@pytest.mark.parametrize("draw", [radiographs.png, radiographs.jpeg, radiographs.dicom])
def test_an_interruption_in_the_middle_says_nothing_about_the_file(
    draw: Any, what: type[Exception], clinician_a: User, patient_a: Patient
) -> None:
    """Wherever it strikes, a good file is never called damaged, nor the model unfit."""
    image = receive(clinician_a, patient_a, draw(1, 1600))
    engine.look(image.original, image.sha256)  # a worker loads its model before its first job
    struck = 0
    blamed: list[str] = []
    for after_ms in range(1, 60, 3):
        try:
            with interrupted(what, after_ms / 1000):
                engine.look(image.original, image.sha256)
        except what:
            struck += 1
        except failures.TransientFailure as failure:
            # Libraries swallow an interruption now and then; then the job is tried again.
            blamed.append(failure.code)
    assert struck > 3
    assert set(blamed) <= {"corrupt_image"}


def test_a_verdict_from_beyond_the_time_limit_is_thrown_away(image: Image, settings: Any) -> None:
    settings.INFERENCE_SOFT_LIMIT_S = 0.001
    services.run_job(job_of(image).pk)
    assert (job_of(image).status, job_of(image).code) == (Status.QUEUED, "timed_out")
    assert not Result.objects.exists()


def test_a_file_that_is_gone_fails_at_once(image: Image) -> None:
    storage.discard(image.original)
    services.run_job(job_of(image).pk)
    job = job_of(image)
    assert status_everywhere(image) == {Status.FAILED}
    assert (job.attempts, job.code) == (1, "image_missing")


def test_a_file_that_was_changed_is_not_classified(image: Image) -> None:
    """Even when it is a perfect radiograph: it is not the one that was uploaded."""
    Path(default_storage.path(image.original)).write_bytes(radiographs.png(8))
    services.run_job(job_of(image).pk)
    assert status_everywhere(image) == {Status.FAILED}
    assert job_of(image).code == "image_changed"
    assert not Result.objects.exists()


def test_what_is_no_radiograph_is_refused_by_the_quality_gate(
    clinician_a: User, patient_a: Patient
) -> None:
    image = receive(clinician_a, patient_a, no_radiograph())
    services.run_job(job_of(image).pk)
    job = job_of(image)
    assert status_everywhere(image) == {Status.REFUSED}
    assert job.code == "not_a_radiograph"
    assert job.message.endswith(".")
    assert not Result.objects.exists()
    assert Event.objects.get(action="job.refuse").outcome == "ok"


# --- The model ---------------------------------------------------------------------------------


@pytest.fixture
def own_package(tmp_path: Path, settings: Any) -> Path:
    """A copy of the released package that the test may spoil."""
    copy = tmp_path / "package"
    shutil.copytree(default_path(), copy)
    settings.THORASCREEN_MODEL = str(copy)
    return copy


@pytest.mark.parametrize("name", ["model.tflite", "model.keras", "gate.npz"])
def test_a_model_that_was_changed_answers_nothing(
    name: str, own_package: Path, image: Image
) -> None:
    content = bytearray((own_package / name).read_bytes())
    content[len(content) // 2] ^= 1
    (own_package / name).write_bytes(content)
    services.run_job(job_of(image).pk)
    job = job_of(image)
    assert status_everywhere(image) == {Status.FAILED}
    assert (job.code, job.attempts) == ("model_hash_mismatch", 1)
    assert not Result.objects.exists()
    assert not ModelVersion.objects.exists()


@pytest.mark.parametrize("name", ["model.tflite", "manifest.json", ""])
def test_a_model_that_is_missing_answers_nothing(
    name: str, own_package: Path, image: Image
) -> None:
    (own_package / name).unlink() if name else shutil.rmtree(own_package)
    services.run_job(job_of(image).pk)
    assert status_everywhere(image) == {Status.FAILED}
    assert job_of(image).code == "model_missing"
    assert not Result.objects.exists()


def test_a_model_that_was_put_right_answers_without_a_restart(
    own_package: Path, image: Image, clinician_a: User
) -> None:
    aside = own_package.with_name("aside")
    own_package.rename(aside)
    services.run_job(job_of(image).pk)
    assert job_of(image).code == "model_missing"
    aside.rename(own_package)
    services.retry_job(actor=clinician_a, image=image)
    services.run_job(job_of(image).pk)
    assert status_everywhere(image) == {Status.DONE}


@pytest.mark.parametrize("code", sorted(failures.MESSAGES))
def test_every_failure_has_a_sentence_that_says_what_to_do(code: str) -> None:
    message = failures.message_of(code)
    assert message.endswith(".")
    assert len(message) <= 300
    assert message.count(".") >= 2, "what happened, and what to do"


# --- By hand -----------------------------------------------------------------------------------


def test_a_failed_image_can_be_tried_again(
    image: Image, clinician_a: User, own_package: Path
) -> None:
    aside = own_package.with_name("aside")
    own_package.rename(aside)
    services.run_job(job_of(image).pk)

    services.retry_job(actor=clinician_a, image=image)

    job = job_of(image)
    assert status_everywhere(image) == {Status.QUEUED}
    assert (job.attempts, job.manual_retries, job.code, job.message) == (0, 1, "", "")
    event = Event.objects.get(action="job.retry")
    assert (event.actor_id, event.object_id) == (clinician_a.pk, str(job.pk))


def test_only_a_failed_image_can_be_tried_again(
    image: Image, clinician_a: User, patient_a: Patient
) -> None:
    refused = receive(clinician_a, patient_a, no_radiograph())
    services.run_job(job_of(refused).pk)
    done = receive(clinician_a, patient_a, radiographs.png(2))
    services.run_job(job_of(done).pk)
    for other in (image, refused, done):
        before = Job.objects.filter(image=other).values().get()
        with pytest.raises(Conflict) as caught:
            services.retry_job(actor=clinician_a, image=other)
        assert caught.value.code == "not_failed"
        assert Job.objects.filter(image=other).values().get() == before


def test_nobody_of_another_site_can_try_again(
    image: Image, clinician_b: User, deactivated: User
) -> None:
    storage.discard(image.original)
    services.run_job(job_of(image).pk)
    for person in (clinician_b, deactivated):
        with pytest.raises(Forbidden):
            services.retry_job(actor=person, image=image)
    assert job_of(image).status == Status.FAILED
