"""Heatmaps and the Retry button over HTTP."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.http import FileResponse
from PIL import Image as Picture

from screening.accounts.models import User
from screening.audit.models import Event
from screening.inference import selectors, services
from screening.patients.models import Patient
from screening.studies import storage
from screening.studies.models import Image, Status, Study
from tests import radiographs
from tests.inference.stages import job_of
from tests.personas import ClientOf
from tests.radiographs import receive

pytestmark = pytest.mark.django_db


@pytest.fixture
def done(clinician_a: User, patient_a: Patient) -> Image:
    image = receive(clinician_a, patient_a)
    services.run_job(job_of(image).pk)
    return image


@pytest.fixture
def failed(clinician_a: User, patient_a: Patient) -> Image:
    """An image whose file was lost and has come back."""
    image = receive(clinician_a, patient_a, radiographs.png(2))
    data = storage.read(image.original)
    storage.discard(image.original)
    services.run_job(job_of(image).pk)
    storage.put(image.original, data)
    return image


def test_the_heatmap_is_a_transparent_picture(
    done: Image, client_of: ClientOf, clinician_a: User
) -> None:
    response = client_of(clinician_a).get(f"/images/{done.pk}/heatmap/")
    assert isinstance(response, FileResponse)
    assert response["Content-Type"] == "image/png"
    assert response["Cache-Control"] == "no-store, private"
    assert response["X-Content-Type-Options"] == "nosniff"
    picture = Picture.open(io.BytesIO(b"".join(response.streaming_content)))  # type: ignore[arg-type]
    assert picture.mode == "P"
    event = Event.objects.get(action="image.view")
    assert (event.object_id, event.detail) == (str(done.pk), {"rendition": "heatmap"})


def test_no_result_no_heatmap(failed: Image, client_of: ClientOf, clinician_a: User) -> None:
    assert client_of(clinician_a).get(f"/images/{failed.pk}/heatmap/").status_code == 404


def test_the_heatmap_stays_within_its_site(
    done: Image, client_of: ClientOf, clinician_b: User, deactivated: User
) -> None:
    url = f"/images/{done.pk}/heatmap/"
    assert client_of(clinician_b).get(url).status_code == 404
    for person in (None, deactivated):
        assert client_of(person).get(url)["Location"].startswith("/login/")


def test_the_retry_button_queues_a_failed_image(
    failed: Image, client_of: ClientOf, clinician_a: User
) -> None:
    client = client_of(clinician_a)
    response = client.post(f"/images/{failed.pk}/retry/")
    assert response["Location"] == f"/studies/{failed.study_id}/"
    assert job_of(failed).status == Status.QUEUED
    services.run_job(job_of(failed).pk)
    assert Study.objects.get(pk=failed.study_id).status == Status.DONE


def test_an_image_that_has_not_failed_is_not_queued_again(
    done: Image, client_of: ClientOf, clinician_a: User
) -> None:
    response = client_of(clinician_a).post(
        f"/images/{done.pk}/retry/", headers={"Accept": "application/json"}
    )
    assert (response.status_code, response.json()["code"]) == (409, "not_failed")
    assert job_of(done).status == Status.DONE


def test_nobody_of_another_site_retries(
    failed: Image, client_of: ClientOf, clinician_b: User, admin_b: User
) -> None:
    for person in (clinician_b, admin_b):
        assert client_of(person).post(f"/images/{failed.pk}/retry/").status_code == 404
    assert job_of(failed).status == Status.FAILED


def test_retry_is_not_done_by_following_a_link(
    failed: Image, client_of: ClientOf, clinician_a: User
) -> None:
    assert client_of(clinician_a).get(f"/images/{failed.pk}/retry/").status_code == 405
    assert job_of(failed).status == Status.FAILED


def test_a_list_of_studies_takes_a_fixed_number_of_queries(
    clinician_a: User, patient_a: Patient, django_assert_num_queries: Any
) -> None:
    for seed in (1, 2, 3, 4):
        image = receive(clinician_a, patient_a, radiographs.png(seed))
        services.run_job(job_of(image).pk)
    with django_assert_num_queries(4):
        for study in selectors.with_results(Study.objects.visible_to(clinician_a)):
            for image in study.images.all():
                result = selectors.latest_result(image)
                assert result is not None
                assert result.model_version.version
                job = selectors.job_of(image)
                assert job is not None
                assert job.status == Status.DONE
