"""Bringing jobs into the states that tests start from, by what really happens to them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import kombu.pools
from celery import current_app
from django.utils import timezone

from screening.inference import workers
from screening.inference.models import Job
from screening.studies.models import Image, Status


def job_of(image: Image) -> Job:
    """The job as it stands now."""
    return Job.objects.get(image=image)


def let_lease_end(image: Image) -> None:
    """The time of the lease passes."""
    past = timezone.now() - timedelta(seconds=1)
    Job.objects.filter(image=image, status=Status.RUNNING).update(lease_expires_at=past)


def let_back_off_pass(image: Image) -> None:
    """The time of the back-off passes."""
    now = timezone.now()
    Job.objects.filter(image=image, available_at__gt=now).update(available_at=now)


def let_patience_end(*images: Image) -> None:
    """So much time passes since the message was sent that it ought to have been heard."""
    past = timezone.now() - timedelta(minutes=5)
    Job.objects.filter(image__in=images).update(sent_at=past, available_at=past)


def let_worker_die(image: Image) -> None:
    """The process that works on the job is gone from this machine."""
    Job.objects.filter(image=image, status=Status.RUNNING).update(worker=identity_of_the_dead())


@cache
def identity_of_the_dead() -> str:
    """The identity of a process that lived on this machine and ended."""
    code = "from screening.inference.workers import identity; print(identity())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    identity = done.stdout.strip()
    assert workers.is_gone(identity)
    return identity


@contextmanager
def broker_at(url: str) -> Iterator[None]:
    """Let this process's Celery talk to another broker."""
    before = current_app.conf.broker_url
    _point_to(url)
    try:
        yield
    finally:
        _point_to(before)


def _point_to(url: str) -> None:
    app: Any = current_app._get_current_object()
    app.conf.broker_url = url
    app._pool = None
    app.amqp._producer_pool = None
    kombu.pools.reset()
