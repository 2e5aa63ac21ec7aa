"""What gets lost is found, and what is not lost is left alone. With a real broker."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from screening.accounts.models import User
from screening.inference import broker as messages
from screening.inference import services, sweeper
from screening.inference.models import Job
from screening.inference.sweeper import Swept
from screening.patients.models import Patient
from screening.studies.models import Image, Status
from tests import radiographs
from tests.inference.stages import (
    broker_at,
    job_of,
    let_lease_end,
    let_patience_end,
    let_worker_die,
)
from tests.radiographs import receive

pytestmark = pytest.mark.django_db(transaction=True)

NOTHING = Swept(recovered=0, resent=0)


@pytest.fixture
def images(clinician_a: User, patient_a: Patient, broker: redis.Redis) -> list[Image]:
    """Five images of one study, each with its message in the broker."""
    first = receive(clinician_a, patient_a, radiographs.png(1))
    return [first] + [
        receive(clinician_a, patient_a, radiographs.png(seed), study_id=first.study_id)
        for seed in (2, 3, 4, 5)
    ]


def waiting(broker: redis.Redis) -> list[str]:
    """The jobs whose messages wait in the broker, in the order of delivery."""
    found: Any = broker.lrange("inference", 0, -1)
    heads = [json.loads(raw)["headers"] for raw in reversed(found)]
    return [
        json.loads(head["argsrepr"].replace("'", '"').replace(",)", ")")[1:-1]) for head in heads
    ]


def jobs(images: list[Image]) -> list[str]:
    return [str(job_of(image).pk) for image in images]


def test_every_upload_sends_one_message(images: list[Image], broker: redis.Redis) -> None:
    assert waiting(broker) == jobs(images)
    assert messages.messages_waiting() == 5


def test_young_messages_are_waited_for(images: list[Image], broker: redis.Redis) -> None:
    broker.flushall()
    assert sweeper.sweep_jobs() == NOTHING
    assert messages.messages_waiting() == 0


def test_a_long_queue_is_no_loss(images: list[Image], broker: redis.Redis) -> None:
    """The messages are old, but all of them are there: the workers are merely busy."""
    let_patience_end(*images)
    assert sweeper.sweep_jobs() == NOTHING
    assert messages.messages_waiting() == 5


def test_a_broker_that_lost_everything_gets_everything_again_once(
    images: list[Image], broker: redis.Redis
) -> None:
    let_patience_end(*images)
    broker.flushall()
    assert sweeper.sweep_jobs() == Swept(recovered=0, resent=5)
    assert sorted(waiting(broker)) == sorted(jobs(images))
    let_patience_end(*images)
    assert sweeper.sweep_jobs() == NOTHING


def test_as_many_are_sent_again_as_are_missing(images: list[Image], broker: redis.Redis) -> None:
    let_patience_end(*images)
    broker.rpop("inference", 2)
    assert sweeper.sweep_jobs() == Swept(recovered=0, resent=2)
    assert messages.messages_waiting() == 5


def test_doubled_messages_do_not_hide_one_that_was_never_sent(
    images: list[Image], broker: redis.Redis
) -> None:
    broker.lrem("inference", 1, broker.lindex("inference", 0) or b"")
    Job.objects.filter(image=images[4]).update(sent_at=None)
    for image in images[:3]:
        messages.send_job(job_of(image).pk)
    assert sweeper.sweep_jobs() == Swept(recovered=0, resent=1)
    assert waiting(broker)[-1] == str(job_of(images[4]).pk)


def test_a_batch_has_an_end(
    images: list[Image], broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "BATCH", 2)
    let_patience_end(*images)
    broker.flushall()
    assert [sweeper.sweep_jobs().resent for _ in range(4)] == [2, 2, 1, 0]


def test_what_is_over_is_never_sent_again(images: list[Image], broker: redis.Redis) -> None:
    for image in images:
        services.run_job(job_of(image).pk)
    let_patience_end(*images)
    broker.flushall()
    assert sweeper.sweep_jobs() == NOTHING


def test_a_lease_that_ended_frees_the_job(images: list[Image], broker: redis.Redis) -> None:
    broker.flushall()
    for image in images[:2]:
        services.claim_job(job_of(image).pk)
    let_lease_end(images[0])
    assert sweeper.sweep_jobs() == Swept(recovered=1, resent=0)
    job = job_of(images[0])
    assert (job.status, job.attempts, job.lease_expires_at) == (Status.QUEUED, 1, None)
    assert waiting(broker) == [str(job.pk)]
    assert job_of(images[1]).status == Status.RUNNING, "its worker lives"


def test_a_dead_worker_frees_its_job_long_before_the_lease_ends(
    images: list[Image], broker: redis.Redis
) -> None:
    broker.flushall()
    services.claim_job(job_of(images[0]).pk)
    let_worker_die(images[0])
    assert sweeper.sweep_jobs() == Swept(recovered=1, resent=0)
    assert waiting(broker) == jobs(images[:1])


def test_a_job_that_lost_its_third_worker_is_given_up(
    images: list[Image], broker: redis.Redis
) -> None:
    image = images[0]
    for _ in range(3):
        services.claim_job(job_of(image).pk)
        let_worker_die(image)
    assert sweeper.sweep_jobs() == Swept(recovered=1, resent=0)
    assert (job_of(image).status, job_of(image).code) == (Status.FAILED, "worker_lost")


def test_a_transient_failure_really_sends_another_message(
    images: list[Image], broker: redis.Redis
) -> None:
    broker.flushall()
    claim = services.claim_job(job_of(images[0]).pk)
    assert claim is not None
    services.try_later(claim, services.TransientFailure("storage_unavailable"))
    assert waiting(broker) == jobs(images[:1])
    message = json.loads(broker.lindex("inference", 0) or b"")
    assert message["headers"]["eta"], "not before the back-off is over"


def test_a_retry_by_hand_really_sends_another_message(
    images: list[Image], broker: redis.Redis, clinician_a: User
) -> None:
    broker.flushall()
    claim = services.claim_job(job_of(images[0]).pk)
    assert claim is not None
    services.fail_job(claim, services.PermanentFailure("corrupt_image"))
    services.retry_job(actor=clinician_a, image=images[0])
    assert waiting(broker) == jobs(images[:1])


def test_an_upload_is_accepted_while_the_broker_is_away(
    clinician_a: User, patient_a: Patient, broker: redis.Redis, tmp_path: Any
) -> None:
    with broker_at(f"redis+socket://{tmp_path}/nobody-listens.sock"):
        image = receive(clinician_a, patient_a)
        assert job_of(image).status == Status.QUEUED
        assert job_of(image).sent_at is None, "it is known that nobody heard"
        assert sweeper.sweep_jobs() == NOTHING
        assert messages.messages_waiting() is None
    assert sweeper.sweep_jobs() == Swept(recovered=0, resent=1)
    assert waiting(broker) == jobs([image])
    assert Job.objects.get().sent_at is not None
