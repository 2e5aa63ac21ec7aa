from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.tokens import default_token_generator
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from screening.accounts.models import Site, User
from screening.accounts.services.invitations import create_invitation
from screening.patients.models import Patient
from tests.personas import *  # noqa: F403
from tests.personas import membership_of
from tests.reading import rows


@pytest.fixture
def people(
    clinician_a: User, admin_a: User, clinician_b: User, admin_b: User, deactivated: User
) -> dict[str, User | None]:
    """The columns of the matrix."""
    return {
        "anonymous": None,
        "clinician_a": clinician_a,
        "admin_a": admin_a,
        "clinician_b": clinician_b,
        "admin_b": admin_b,
        "deactivated": deactivated,
    }


@pytest.fixture
def accounts_of_north(
    north: Site, people: dict[str, User | None], admin_a: User, clinician_a: User
) -> dict[str, str]:
    """What addresses of the accounts may name."""
    issued = create_invitation(
        actor=admin_a, site=north, email="i@example.org", role="clinician", build_url=str
    )
    return {
        "membership_id": str(membership_of(clinician_a).pk),
        "invitation_id": str(issued.invitation.pk),
        "uidb64": urlsafe_base64_encode(force_bytes(clinician_a.pk)),
        "reset_token": default_token_generator.make_token(clinician_a),
        "invitation_token": issued.link.split("/")[2],
    }


@pytest.fixture
def studies_of_north(clinician_a: User, patient_a: Patient) -> dict[str, str]:
    """What addresses of patients and studies may name."""
    done = rows.send_image(clinician_a, patient_a)
    result = rows.finish(done)
    failed = rows.send_image(clinician_a, patient_a, seed=2)
    rows.fail(failed)
    return {
        "patient_id": str(patient_a.pk),
        "study_id": str(done.study_id),
        "image_id": str(done.pk),
        "failed_image_id": str(failed.pk),
        "model_id": str(result.model_version_id),
        "new_study_id": str(uuid4()),
    }
