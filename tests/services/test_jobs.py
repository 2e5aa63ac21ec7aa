"""Jobs through a real broker and a real worker, which the tests then mistreat."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis
from django.core.files.storage import default_storage

from ml.package import default_path
from screening.accounts.models import User
from screening.audit.models import Event
from screening.core.tasks import send_now
from screening.inference import broker as messages
from screening.inference import services
from screening.inference.models import Job, Result
from screening.inference.tasks import run_job, sweep_jobs
from screening.patients.models import Patient
from screening.studies.models import Image, Status, Study
from tests import radiographs
from tests.embedded_redis import EmbeddedRedis
from tests.inference.stages import broker_at
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


class Held:
    """An image whose file is a pipe: whoever opens it waits until the test writes into it.

    So a worker is caught in the middle of its look for as long as the test likes, without any
    change to the worker.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self.path = Path(default_storage.path(image.original))
        self.aside = self.path.with_suffix(".aside")
        self.path.rename(self.aside)
        os.mkfifo(self.path)

    def wait_until_looking(self) -> Job:
        """The job, once its worker reads the file."""
        job = wait_until_running(self.image)
        self.pipe = wait_for(self._reader_is_there, what="the worker to open the file")
        return job

    def _reader_is_there(self) -> int | None:
        try:
            return os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return None

    def let_go(self) -> None:
        """Hand the bytes to the one who waits, and put the file back for those to come."""
        os.set_blocking(self.pipe, True)
        with os.fdopen(self.pipe, "wb") as pipe:
            pipe.write(self.aside.read_bytes())
        self.put_back()

    def put_back(self) -> None:
        self.aside.rename(self.path)


def send_with_limits(monkeypatch: pytest.MonkeyPatch, *, soft_s: float, hard_s: float = 20) -> None:
    """Messages carry the limits of who sends them: here, of this process."""
    monkeypatch.setattr(run_job, "soft_time_limit", soft_s)
    monkeypatch.setattr(run_job, "time_limit", hard_s)
    monkeypatch.setattr(run_job, "_exec_options", None)  # what Celery remembers of them


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
    """The worker hands the message back; the next process sees that the job's holder is gone."""
    held = Held(send())
    with WorkerProcess(tmp_path):
        pid = pid_of(held.wait_until_looking())
        held.put_back()
        os.kill(pid, signal.SIGKILL)
        wait_until_over(held.image)
    job = assert_done_once(held.image, media_root)
    assert job.attempts == 2
    assert pid_of(job) != pid


def test_kill_9_of_the_whole_worker_ends_in_one_result(
    send: Sent, tmp_path: Path, media_root: Path
) -> None:
    """Nobody hands the message back; the sweep of the next worker finds the job at once."""
    held = Held(send())
    with WorkerProcess(tmp_path, name="first") as first:
        held.wait_until_looking()
        first.kill()
    held.put_back()
    assert job_of(held.image).status == Status.RUNNING
    with WorkerProcess(tmp_path, name="second"):
        assert send_now(sweep_jobs)
        wait_until_over(held.image, seconds=15)
    assert assert_done_once(held.image, media_root).attempts == 2


def test_a_picture_that_kills_every_process_is_given_up(send: Sent, tmp_path: Path) -> None:
    held = Held(send())
    with WorkerProcess(tmp_path):
        for attempt in (1, 2, 3):
            job = held.wait_until_looking()
            assert job.attempts == attempt
            os.kill(pid_of(job), signal.SIGKILL)
            wait_for(
                lambda attempt=attempt: (
                    job_of(held.image).attempts > attempt or job_of(held.image).status in OVER
                ),
                what="the loss to be noticed",
            )
        (job,) = wait_until_over(held.image)
    assert (job.status, job.code, job.attempts) == (Status.FAILED, "worker_lost", 3)
    assert not Result.objects.exists()


def test_an_orderly_stop_finishes_the_work_at_hand(
    send: Sent, tmp_path: Path, media_root: Path
) -> None:
    held = Held(send())
    with WorkerProcess(tmp_path) as worker:
        held.wait_until_looking()
        os.kill(worker.pid, signal.SIGTERM)
        wait_for(lambda: "Warm shutdown" in worker.log(), what="the worker to hear of it")
        held.let_go()
        worker.stop()
        assert assert_done_once(held.image, media_root).attempts == 1


def test_what_takes_too_long_is_tried_again_and_then_given_up(
    send: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The soft limit interrupts, the retry fires after its back-off, three times in all."""
    send_with_limits(monkeypatch, soft_s=1)
    held = Held(send())
    limits = {"INFERENCE_SOFT_LIMIT_S": "1", "INFERENCE_HARD_LIMIT_S": "20"}
    with WorkerProcess(tmp_path, environment={**QUICK, **limits}):
        (job,) = wait_until_over(held.image)
    assert (job.status, job.code, job.attempts) == (Status.FAILED, "timed_out", 3)
    assert not Result.objects.exists()


def test_what_does_not_even_heed_the_soft_limit_is_killed_and_found(
    send: Sent, tmp_path: Path, media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stuck beyond the hard limit is killed; the sweep recovers its job."""
    send_with_limits(monkeypatch, soft_s=1, hard_s=2)
    held = Held(send())
    every_second = {**QUICK, "INFERENCE_SWEEP_EVERY_S": "1"}
    with WorkerProcess(tmp_path, beat=True, environment=every_second):
        pid = pid_of(held.wait_until_looking())
        os.kill(pid, signal.SIGSTOP)  # deaf to the soft limit
        held.put_back()
        wait_until_over(held.image)
    assert assert_done_once(held.image, media_root).attempts == 2
    assert not psutil.pid_exists(pid)


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
    held = Held(send())
    with WorkerProcess(tmp_path, beat=True, environment={**QUICK, "INFERENCE_SWEEP_EVERY_S": "1"}):
        held.wait_until_looking()
        broker.flushall()
        held.let_go()
        wait_until_over(held.image)
        assert assert_done_once(held.image, media_root).attempts == 1


def test_a_message_delivered_many_times_leaves_one_result(
    send: Sent, tmp_path: Path, media_root: Path, broker: redis.Redis
) -> None:
    """Five of the six arrive while the first is being worked on, and after it."""
    held = Held(send())
    for _ in range(5):
        assert messages.send_job(job_of(held.image).pk)
    assert broker.llen("inference") == 6
    with WorkerProcess(tmp_path, concurrency=2):
        held.wait_until_looking()
        wait_for(lambda: broker.llen("inference") == 0, what="all messages to be taken")
        held.let_go()
        wait_until_over(held.image)
        wait_for(lambda: broker.hlen("unacked") == 0, what="all messages to be acknowledged")
    assert assert_done_once(held.image, media_root).attempts == 1


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
            held = Held(send())
            with WorkerProcess(tmp_path, beat=True, environment=environment):
                held.wait_until_looking()
                server.stop()
                held.let_go()
                wait_until_over(held.image)
                server.start()
                late = send(radiographs.png(2))
                wait_until_over(late)
                assert assert_done_once(held.image, media_root).attempts == 1
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
