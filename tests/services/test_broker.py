"""The broker's traps: emptied, restarted or away, with a real worker behind it.

The observable task is the daily one that removes expired sessions.
"""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.utils import timezone

from screening.accounts.models import Session
from screening.accounts.tasks import clear_expired
from screening.core.tasks import send_now
from tests.embedded_redis import EmbeddedRedis
from tests.inference.stages import broker_at
from tests.services.kit import WorkerProcess, wait_for

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


def leave_expired_session(key: str) -> None:
    Session.objects.create(
        session_key=key, session_data="", expire_date=timezone.now() - timedelta(days=1)
    )


def session_gone(key: str) -> bool:
    return not Session.objects.filter(session_key=key).exists()


def test_an_emptied_broker_goes_on_working(broker: redis.Redis, tmp_path: Path) -> None:
    """FLUSHALL takes kombu's tables too; the same producer and worker carry on."""
    with WorkerProcess(tmp_path):
        leave_expired_session("before")
        assert send_now(clear_expired)
        wait_for(lambda: session_gone("before"), what="the first message to be worked on")
        for number in range(3):
            broker.flushall()
            key = f"after-{number}"
            leave_expired_session(key)
            assert send_now(clear_expired)
            wait_for(lambda key=key: session_gone(key), seconds=10, what="work after a flush")


def test_a_message_waits_for_a_worker_that_comes_later(broker: redis.Redis, tmp_path: Path) -> None:
    leave_expired_session("early")
    assert send_now(clear_expired)
    assert broker.llen("default") == 1
    with WorkerProcess(tmp_path):
        wait_for(lambda: session_gone("early"), what="the early message")


def test_messages_are_json_and_name_only_the_task(broker: redis.Redis) -> None:
    send_now(clear_expired)
    message = broker.lindex("default", 0)
    assert message is not None
    assert b'"content-type": "application/json"' in message
    assert b"accounts.clear_expired" in message
    broker.flushall()


def test_the_worker_and_the_web_process_survive_a_restart_of_redis(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "redis")
    server.start()
    try:
        with (
            broker_at(f"redis+socket://{server.socket_path}"),
            WorkerProcess(tmp_path, environment={"TEST_REDIS_URL": server.url}),
        ):
            leave_expired_session("one")
            assert send_now(clear_expired)
            wait_for(lambda: session_gone("one"), what="the first message")
            server.stop()
            started = time.monotonic()
            assert send_now(clear_expired) is False
            assert time.monotonic() - started < 5, "a web request must not hang on the broker"
            server.start()
            leave_expired_session("two")
            wait_for(lambda: send_now(clear_expired), seconds=20, what="sending to work again")
            wait_for(lambda: session_gone("two"), seconds=60, what="the worker to come back")
    finally:
        server.stop()


def test_a_broker_that_swallows_connections_does_not_hang_a_request() -> None:
    """An address that never answers, as behind a firewall that drops packets."""
    with broker_at("redis://192.0.2.1:6379/0"):
        started = time.monotonic()
        assert send_now(clear_expired) is False
        assert time.monotonic() - started < 6


def test_a_broker_that_stands_still_does_not_hang_a_request(tmp_path: Path) -> None:
    """A frozen process, or a disk that blocks it, keeps its connections and says nothing."""
    server = EmbeddedRedis(tmp_path / "redis")
    server.start()
    try:
        with broker_at(f"redis+socket://{server.socket_path}"):
            assert send_now(clear_expired)
            with server.standing_still():
                started = time.monotonic()
                assert send_now(clear_expired) is False
                assert time.monotonic() - started < 10
            wait_for(lambda: send_now(clear_expired), seconds=10, what="sending to work again")
    finally:
        server.stop()
