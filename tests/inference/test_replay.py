"""A stored answer can be computed again, and a stored answer that was touched is found out."""

from __future__ import annotations

import io
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from screening.accounts.models import User
from screening.audit.models import Event
from screening.inference import services
from screening.inference.models import Result
from screening.patients.models import Patient
from tests.inference.stages import job_of
from tests.radiographs import receive

pytestmark = pytest.mark.django_db


@pytest.fixture
def result(clinician_a: User, patient_a: Patient) -> Result:
    image = receive(clinician_a, patient_a)
    services.run_job(job_of(image).pk)
    return Result.objects.get(image=image)


def replay(result_or_image_id: object) -> str:
    out = io.StringIO()
    call_command("replay_result", str(result_or_image_id), stdout=out)
    return out.getvalue()


def test_an_untouched_answer_comes_out_the_same_to_the_last_bit(result: Result) -> None:
    said = replay(result.pk)
    assert ": identical, largest difference 0" in said
    assert "changed" not in said
    assert replay(result.image_id) == said
    assert Event.objects.filter(action="result.replay", object_id=str(result.pk)).count() == 2
    assert Result.objects.count() == 1


def test_a_probability_that_was_altered_is_found_out(result: Result) -> None:
    Result.objects.filter(pk=result.pk).update(p_covid=result.p_covid / 2 + 0.01)
    with pytest.raises(CommandError, match="not what its receipt says"):
        replay(result.pk)


def test_an_altered_receipt_is_found_out(result: Result) -> None:
    Result.objects.filter(pk=result.pk).update(
        receipt={**result.receipt, "calibration_sha256": "0" * 64}
    )
    with pytest.raises(CommandError, match="not what its receipt says"):
        replay(result.pk)


def test_an_altered_file_is_found_out(result: Result) -> None:
    name = result.image.original
    default_storage.delete(name)
    default_storage.save(name, ContentFile(b"something else"))
    with pytest.raises(CommandError, match="image_changed"):
        replay(result.pk)


def test_a_model_that_is_gone_is_named(result: Result) -> None:
    version = result.model_version
    version.version = "0.0.0-never-shipped"
    version.save()
    with pytest.raises(CommandError, match="model_missing"):
        replay(result.pk)


def test_an_unknown_id_is_a_plain_sentence() -> None:
    with pytest.raises(CommandError, match="no result and no image"):
        replay(uuid4())
