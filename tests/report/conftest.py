"""Studies that are read and signed, ready for a report."""

from __future__ import annotations

import pytest

from screening.accounts.models import User
from screening.audit.models import Event
from screening.inference.models import Label, Result
from screening.patients.models import Patient
from screening.reading.models import Reading
from screening.reading.services import Draft, sign_reading
from screening.studies.models import Study
from tests.personas import *  # noqa: F403  (fixtures)
from tests.record import rows

RECEIPT = {"input_sha256": "ab" * 32, "output_sha256": "cd" * 32}


@pytest.fixture
def result(clinician_a: User, patient_a: Patient) -> Result:
    """The AI's answer to a study of North: pneumonia, with all its doubts."""
    image = rows.send_image(clinician_a, patient_a, name="nina.png")
    found = rows.finish(
        image,
        Label.PNEUMONIA,
        carried=rows.evidence(possible=("pneumonia", "covid"), verdict="unreliable"),
    )
    Result.objects.filter(pk=found.pk).update(receipt=RECEIPT)
    return Result.objects.get(pk=found.pk)


@pytest.fixture
def study(result: Result) -> Study:
    return Study.objects.select_related("patient", "site").get(pk=result.image.study_id)


@pytest.fixture
def signed(study: Study, clinician_a: User) -> Reading:
    """The study's reading of record."""
    return sign(clinician_a, study)


def sign(
    user: User, study: Study, text: str = "Dense right lower zone.", stance: str = "agrees"
) -> Reading:
    draft = Draft(impression="pneumonia", text=text, stance=stance)
    return sign_reading(actor=user, study=study, draft=draft, version=0)


def address(code: str) -> str:
    return f"https://portal.example.org/verify/{code}/"


def actions() -> list[str]:
    """What stands in the audit, in order."""
    return list(Event.objects.order_by("id").values_list("action", flat=True))
