"""Jobs through a real broker and a real worker, which the tests then mistreat."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis
from django.db import connection

from ml.package import default_path
from screening.accounts.models import User
from screening.audit.models import Event
from screening.core.tasks import send_now
from screening.inference import broker as messages
from screening.inference import services
from screening.inference.models import Job, Result
from screening.inference.tasks import sweep_jobs
from screening.patients.models import Patient
from screening.studies.models import Image, Status, Study
from tests import radiographs
from tests.embedded_redis import EmbeddedRedis
from tests.inference.stages import broker_at, let_patience_end
from tests.personas import *  # noqa: F403  (fixtures)
from tests.radiographs import receive, stored_files
from tests.services.kit import WorkerProcess, wait_for

pytestmark = [
    pytest.mark.services,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("broker"),
]

QUICK = {"INFERENCE_RESEND_AFTER_S": "1", "INFERENCE_RETRY_BASE_S": "0.2"}
OVER = (Status.DONE, Status.FAILED, Status.REFUSED)

Sent = Callable[..., Image]


@pytest.fixture
def send(clinician_a: User, patient_a: Patient) -> Sent:
    """Take in a picture, as the web process does."""

    def receive_one(data: bytes | None = None, **options: object) -> Image:
        return receive(clinician_a, patient_a, data, **options)  # type: ignore[arg-type]

    return receive_one


def job_of(image: Image) -> Job:
    return Job.objects.get(image=image)


def wait_until_over(*images: Image, seconds: float = 30) -> list[Job]:
    """Wait until every image's job has ended; the jobs."""

    def found() -> list[Job]:
        jobs = [job_of(image) for image in images]
        return jobs if all(job.status in OVER for job in jobs) else []

    return wait_for(found, seconds=seconds, what="the jobs to end", every=0.02)


def wait_until_running(image: Image) -> Job:
    def found() -> Job | None:
        job = job_of(image)
        return job if job.status == Status.RUNNING else None

    job = wait_for(found, seconds=20, what="the job to be claimed", every=0.001)
    assert job is not None
    return job


def assert_done_once(image: Image, media_root: Path) -> Job:
    job = job_of(image)
    assert (job.status, job.code) == (Status.DONE, "")
    assert Result.objects.filter(image=image).count() == 1
    assert Study.objects.get(pk=image.study_id).status == Status.DONE
    assert Event.objects.filter(action="result.create").count() == Result.objects.count()
    heatmaps = [name for name in stored_files(media_root) if name.startswith("heatmaps/")]
    assert len(heatmaps) == Result.objects.count()
    return job


def big_dicom() -> bytes:
    """Twelve megapixels: the look at it takes long enough to be interrupted."""
    return radiographs.dicom(1, 3500)


def pid_of(job: Job) -> int:
    """The process that works on the job, as its row says."""
    return int(job.worker.split(":")[-2])


# --- The straight way --------------------------------------------------------------------------


def test_an_upload_ends_with_a_result(send: Sent, tmp_path: Path, media_root: Path) -> None:
    with WorkerProcess(tmp_path):
        images = [send(draw(1)) for draw in (radiographs.png, radiographs.jpeg, radiographs.dicom)]
        for job in wait_until_over(*images):
            assert job.attempts == 1
            assert_done_once(job.image, media_root)


def test_many_at_once_all_get_the_same_answer(send: Sent, tmp_path: Path, media_root: Path) -> None:
    images = [send(radiographs.png(7)) for _ in range(12)]
    with WorkerProcess(tmp_path, concurrency=3):
        wait_until_over(*images, seconds=60)
    results = list(Result.objects.all())
    assert len(results) == 12
    assert len({result.receipt["output_sha256"] for result in results}) == 1
    assert len({job.worker for job in Job.objects.all()}) > 1, "several processes took part"


def test_a_result_by_keras_agrees_with_one_by_litert(send: Sent, tmp_path: Path) -> None:
    pictures = [radiographs.png(1), radiographs.dicom(2)]
    found = {}
    for runtime in ("litert", "keras"):
        images = [send(picture) for picture in pictures]
        with WorkerProcess(tmp_path, environment={"RUNTIME": runtime}, name=runtime):
            wait_until_over(*images, seconds=90)
        found[runtime] = [Result.objects.get(image=image) for image in images]
    for fast, reference in zip(found["litert"], found["keras"], strict=True):
        assert (fast.runtime, reference.runtime) == ("litert", "keras")
        assert fast.model_version == reference.model_version
        assert fast.label == reference.label
        for name, share in fast.probabilities.items():
            assert share == pytest.approx(reference.probabilities[name], abs=1e-4)


# --- Killed workers ----------------------------------------------------------------------------


def test_kill_9_of_the_working_process_ends_in_one_result(
    send: Sent, tmp_path: Path, media_root: Path
) -> None:
    """The process is frozen in the middle of its look, then killed. The worker hands the message
    back, and the next process sees that the job's holder is gone."""
    image = send(big_dicom())
    with WorkerProcess(tmp_path):
        job = wait_until_running(image)
        pid = pid_of(job)
        os.kill(pid, signal.SIGSTOP)
        assert job_of(image).status == Status.RUNNING, "it was caught in the middle"
        os.kill(pid, signal.SIGKILL)
        wait_until_over(image)
        assert assert_done_once(image, media_root).attempts == 2
        assert pid_of(job_of(image)) != pid


def test_kill_9_of_the_whole_worker_ends_in_one_result(
    send: Sent, tmp_path: Path, media_root: Path
) -> None:
    """Nobody hands the message back; the sweep of the next worker finds the job."""
    image = send(big_dicom())
    with WorkerProcess(tmp_path, name="first") as first:
        job = wait_until_running(image)
        os.kill(pid_of(job), signal.SIGSTOP)
        assert job_of(image).status == Status.RUNNING, "it was caught in the middle"
        first.kill()
    with WorkerProcess(tmp_path, name="second"):
        assert send_now(sweep_jobs)
        wait_until_over(image)
        assert assert_done_once(image, media_root).attempts == 2


def test_a_picture_that_kills_every_process_is_given_up(send: Sent, tmp_path: Path) -> None:
    image = send(big_dicom())
    with WorkerProcess(tmp_path):
        for attempt in (1, 2, 3):
            job = wait_for(
                lambda attempt=attempt: Job.objects.filter(
                    image=image, status=Status.RUNNING, attempts=attempt
                ).first(),
                what=f"attempt {attempt}",
                every=0.001,
            )
            os.kill(pid_of(job), signal.SIGKILL)
        (job,) = wait_until_over(image)
    assert (job.status, job.code, job.attempts) == (Status.FAILED, "worker_lost", 3)
    assert not Result.objects.exists()


def test_an_orderly_stop_finishes_the_work_at_hand(
    send: Sent, tmp_path: Path, media_root: Path
) -> None:
    image = send(big_dicom())
    worker = WorkerProcess(tmp_path)
    with worker:
        wait_until_running(image)
        worker.stop()
        assert assert_done_once(image, media_root).attempts == 1


def test_what_takes_too_long_is_tried_again_and_then_given_up(send: Sent, tmp_path: Path) -> None:
    """The soft limit interrupts, the retry fires after its back-off, three times in all."""
    image = send(big_dicom())
    slow = {"INFERENCE_SOFT_LIMIT_S": "1", "INFERENCE_HARD_LIMIT_S": "20"}
    with WorkerProcess(tmp_path, environment={**QUICK, **slow}):
        seen: set[tuple[str, int]] = set()

        def frozen_to_the_end() -> bool:
            job = job_of(image)
            if job.status == Status.RUNNING and (job.worker, job.attempts) not in seen:
                seen.add((job.worker, job.attempts))
                # Frozen beyond its limit; the pending interruption arrives when it goes on.
                os.kill(pid_of(job), signal.SIGSTOP)
                wait_for(lambda: interrupted(pid_of(job)), what="the limit to strike", every=0.01)
                os.kill(pid_of(job), signal.SIGCONT)
            return job.status in OVER

        wait_for(frozen_to_the_end, seconds=40, what="three attempts", every=0.001)
    job = job_of(image)
    assert (job.status, job.code, job.attempts) == (Status.FAILED, "timed_out", 3)
    assert len(seen) == 3
    assert not Result.objects.exists()


def interrupted(pid: int) -> bool:
    """Whether the soft limit's signal (SIGUSR1) waits for the process; see proc(5)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    pending = (line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd:"))
    return any(int(mask, 16) >> (signal.SIGUSR1 - 1) & 1 for mask in pending)


# --- Lost and doubled messages -----------------------------------------------------------------


def test_an_emptied_broker_loses_no_job(
    send: Sent, tmp_path: Path, media_root: Path, broker: redis.Redis
) -> None:
    """The messages are gone before a worker came; the scheduler's sweep sends them again."""
    images = [send(radiographs.png(seed)) for seed in (1, 2, 3)]
    broker.flushall()
    every_second = {**QUICK, "INFERENCE_SWEEP_EVERY_S": "1"}
    with WorkerProcess(tmp_path, beat=True, environment=every_second):
        for job in wait_until_over(*images):
            assert assert_done_once(job.image, media_root).attempts == 1
        broker.flushall()
        late = send(radiographs.png(4))
        wait_until_over(late)
        assert_done_once(late, media_root)


def test_a_broker_emptied_in_the_middle_of_a_job_changes_nothing(
    send: Sent, tmp_path: Path, media_root: Path, broker: redis.Redis
) -> None:
    image = send(big_dicom())
    with WorkerProcess(tmp_path, beat=True, environment={**QUICK, "INFERENCE_SWEEP_EVERY_S": "1"}):
        job = wait_until_running(image)
        os.kill(pid_of(job), signal.SIGSTOP)
        broker.flushall()
        os.kill(pid_of(job), signal.SIGCONT)
        wait_until_over(image)
        assert assert_done_once(image, media_root).attempts == 1


def test_a_message_delivered_many_times_leaves_one_result(
    send: Sent, tmp_path: Path, media_root: Path, broker: redis.Redis
) -> None:
    image = send(big_dicom())
    for _ in range(5):
        assert messages.send_job(job_of(image).pk)
    assert broker.llen("inference") == 6
    with WorkerProcess(tmp_path, concurrency=3):
        wait_until_over(image)
        wait_for(lambda: broker.llen("inference") == 0, what="all messages to be taken")
        wait_for(lambda: broker.hlen("unacked") == 0, what="all messages to be acknowledged")
    assert assert_done_once(image, media_root).attempts == 1


def test_an_upload_while_redis_is_down_is_done_when_it_is_back(
    send: Sent, tmp_path: Path, media_root: Path
) -> None:
    server = EmbeddedRedis(tmp_path / "redis")
    environment = {**QUICK, "TEST_REDIS_URL": server.url, "INFERENCE_SWEEP_EVERY_S": "1"}
    with broker_at(f"redis+socket://{server.socket_path}"):
        image = send()
        assert job_of(image).status == Status.QUEUED
        assert job_of(image).sent_at is None
        server.start()
        try:
            with WorkerProcess(tmp_path, beat=True, environment=environment):
                wait_until_over(image)
        finally:
            server.stop()
    assert assert_done_once(image, media_root).attempts == 1


def test_redis_restarted_in_the_middle_of_a_job(
    send: Sent, tmp_path: Path, media_root: Path
) -> None:
    """The worker can't acknowledge; the message comes again and finds nothing to do."""
    server = EmbeddedRedis(tmp_path / "redis")
    server.start()
    environment = {**QUICK, "TEST_REDIS_URL": server.url, "INFERENCE_SWEEP_EVERY_S": "1"}
    try:
        with broker_at(f"redis+socket://{server.socket_path}"):
            image = send(big_dicom())
            with WorkerProcess(tmp_path, beat=True, environment=environment):
                job = wait_until_running(image)
                os.kill(pid_of(job), signal.SIGSTOP)
                server.stop()
                os.kill(pid_of(job), signal.SIGCONT)
                wait_until_over(image)
                server.start()
                late = send(radiographs.png(2))
                wait_until_over(late, seconds=40)
                assert assert_done_once(image, media_root).attempts == 1
                assert_done_once(late, media_root)
    finally:
        server.stop()


# --- The model ---------------------------------------------------------------------------------


def test_a_model_that_was_tampered_with_answers_nothing(send: Sent, tmp_path: Path) -> None:
    package = tmp_path / "package"
    shutil.copytree(default_path(), package)
    weights = package / "model.tflite"
    content = bytearray(weights.read_bytes())
    content[-100] ^= 1
    weights.write_bytes(content)
    images = [send(radiographs.png(1)), send(radiographs.png(2))]
    with WorkerProcess(tmp_path, environment={"THORASCREEN_MODEL": str(package)}) as worker:
        for job in wait_until_over(*images):
            assert (job.status, job.code) == (Status.FAILED, "model_hash_mismatch")
            assert "administrator" in job.message
        assert "the model was not loaded: model_hash_mismatch" in worker.log()
    assert not Result.objects.exists()


def test_a_retry_by_hand_reaches_the_worker(
    send: Sent, tmp_path: Path, media_root: Path, clinician_a: User
) -> None:
    package = tmp_path / "package"
    image = send()
    with WorkerProcess(tmp_path, environment={"THORASCREEN_MODEL": str(package)}):
        (job,) = wait_until_over(image)
        assert job.code == "model_missing"
        shutil.copytree(default_path(), package)
        services.retry_job(actor=clinician_a, image=image)
        wait_until_over(image)
    assert_done_once(image, media_root)


# --- What a worker may not do ------------------------------------------------------------------


def test_the_worker_loads_the_model_after_the_fork_and_no_tensorflow(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path) as worker:

        def maps(pid: int) -> str:
            return " ".join(entry.path for entry in psutil.Process(pid).memory_maps())

        (child,) = worker.children()
        wait_for(lambda: "ai_edge_litert" in maps(child), what="the child to load the model")
        assert "ai_edge_litert" not in maps(worker.pid)
        assert "tensorflow" not in maps(child)


def test_the_log_names_nobody(
    send: Sent, tmp_path: Path, patient_a: Patient, media_root: Path
) -> None:
    image = send(radiographs.dicom(3), name="Nordlund Nina 1962.dcm")
    lost = send(radiographs.dicom(4), name="Nordlund Nina 1962.dcm")
    (media_root / lost.original).write_bytes(b"damaged")
    with WorkerProcess(tmp_path, environment={"LOG_LEVEL": "DEBUG"}) as worker:
        wait_until_over(image, lost)
        log = worker.log_path.read_text(encoding="utf-8", errors="replace")
    assert str(job_of(image).pk) in log or "inference.run_job" in log
    for word in ("Nordlund", "Nina", patient_a.mrn, "hantom"):
        assert word not in log
    assert connection.vendor in ("sqlite", "postgresql")
    let_patience_end(image)
