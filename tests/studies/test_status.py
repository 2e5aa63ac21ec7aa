"""The status of a study sums up that of its images."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from screening.accounts.models import User
from screening.patients.models import Patient
from screening.studies.models import Status, Study
from screening.studies.services import set_image_status, sum_up
from tests import radiographs
from tests.radiographs import receive

Q, R, D, F, X = Status.QUEUED, Status.RUNNING, Status.DONE, Status.FAILED, Status.REFUSED


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([Q], Q),
        ([Q, Q], Q),
        ([R], R),
        ([Q, R], R),
        ([Q, D], R),
        ([Q, F], R),
        ([Q, X], R),
        ([R, F, D], R),
        ([D], D),
        ([D, X], D),
        ([D, F], F),
        ([X, F], F),
        ([X], X),
        ([X, X], X),
    ],
)
def test_the_rule(statuses: list[Status], expected: Status) -> None:
    assert sum_up(statuses) == expected


@given(st.lists(st.sampled_from(list(Status)), min_size=1, max_size=8))
def test_a_study_is_over_exactly_when_all_its_images_are(statuses: list[Status]) -> None:
    is_open = bool({Q, R} & set(statuses))
    assert (sum_up(statuses) in (Q, R)) == is_open


@pytest.mark.django_db(transaction=True)
def test_the_second_to_finish_waits_for_the_first(clinician_a: User, patient_a: Patient) -> None:
    """Each would see the other still queued, and the study would seem to run for ever."""
    first = receive(clinician_a, patient_a, radiographs.png(1))
    second = receive(clinician_a, patient_a, radiographs.png(2), study_id=first.study_id)

    def finish_second() -> None:
        try:
            set_image_status(second.pk, Status.DONE)
        finally:
            connection.close()

    other = threading.Thread(target=finish_second)
    with transaction.atomic():
        set_image_status(first.pk, Status.DONE)
        other.start()
        other.join(timeout=0.5)
        assert other.is_alive(), "it has to wait"
    other.join(timeout=30)
    assert Study.objects.get().status == Status.DONE


@pytest.mark.django_db(transaction=True)
def test_images_that_finish_together_leave_a_finished_study(
    clinician_a: User, patient_a: Patient
) -> None:
    first = receive(clinician_a, patient_a, radiographs.png(1))
    images = [first.pk] + [
        receive(clinician_a, patient_a, radiographs.png(seed), study_id=first.study_id).pk
        for seed in (2, 3, 4)
    ]
    start = threading.Barrier(len(images))
    troubles: list[BaseException] = []

    def finish(image_id: object) -> None:
        try:
            start.wait(timeout=20)
            set_image_status(image_id, Status.DONE)  # type: ignore[arg-type]
        except BaseException as trouble:
            troubles.append(trouble)
        finally:
            connection.close()

    threads = [threading.Thread(target=finish, args=(pk,)) for pk in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert troubles == []
    assert Study.objects.get().status == Status.DONE
