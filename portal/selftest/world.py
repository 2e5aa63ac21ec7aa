"""Two throw-away sites in the scratch portal: people, a patient, an X-ray that is nobody's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client

from ml.phantom import phantom_png
from screening.accounts.models import Membership, Role, Site, User
from screening.accounts.services.setup import create_member
from screening.inference.models import Job
from screening.inference.services import run_job
from screening.patients.models import Patient
from screening.patients.services import create_patient
from screening.studies.models import Image
from screening.studies.services import receive_image

# Names that stand nowhere else: whoever reads one of them has read North's patient.
FAMILY_NAME, MRN = "Selbstprüfer-Nordlicht", "SELFTEST-4711"
NAMES = (FAMILY_NAME.encode(), MRN.encode())


@dataclass
class World:
    """North with a patient and an answered X-ray; South, for which these do not exist."""

    north: Site
    people: dict[str, User]
    patient: Patient
    image: Image
    objects: dict[str, str] = field(default_factory=dict)
    open_browsers: dict[str, Client] = field(default_factory=dict)

    def open_browser(self, name: str) -> Client:
        """The browser in which that person signed in before, for who only looks around."""
        if name not in self.open_browsers:
            self.open_browsers[name] = self.browser(name)
        return self.open_browsers[name]

    def browser(self, name: str) -> Client:
        """A browser in which that person has just signed in; ``anonymous`` has not."""
        client = Client(**_transport())
        client.raise_request_exception = False
        if name != "anonymous":
            user = self.people[name]
            client.force_login(user)
            session = client.session
            session["second_factor"] = {"user": str(user.pk), "kind": "totp"}
            session.save()
        return client


def _transport() -> dict[str, Any]:
    """As the proxy or the own machine asks: over TLS where the portal insists on it."""
    host = next((name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"), "localhost")
    return {"SERVER_NAME": host, "wsgi.url_scheme": "https", "HTTP_X_FORWARDED_PROTO": "https"}


def build_world() -> World:
    """Make both sites. The X-ray is looked at by the installed model, in this process."""
    north = Site.objects.create(name="Self-test North")
    south = Site.objects.create(name="Self-test South")
    people = {
        "clinician": _member(north, "st-clinician", Role.CLINICIAN),
        "admin": _member(north, "st-admin", Role.ADMIN),
        "outside_clinician": _member(south, "st-outside-clinician", Role.CLINICIAN),
        "outside_admin": _member(south, "st-outside-admin", Role.ADMIN),
        "deactivated": _member(north, "st-former", Role.CLINICIAN),
    }
    Membership.objects.filter(user=people["deactivated"]).update(is_active=False)
    patient = create_patient(
        actor=people["clinician"],
        site=north,
        mrn=MRN,
        family_name=FAMILY_NAME,
        given_name="Probe",
        birth_date=None,
        sex="",
    )
    image = send(people["clinician"], patient, seed=1)
    run_job(Job.objects.get(image=image).pk)
    image.refresh_from_db()
    world = World(north, people, patient, image)
    world.objects = {
        "patient_id": str(patient.pk),
        "study_id": str(image.study_id),
        "image_id": str(image.pk),
        "membership_id": str(Membership.objects.get(user=people["clinician"]).pk),
    }
    return world


def send(actor: User, patient: Patient, *, seed: int) -> Image:
    """A drawn chest through the real intake, as a study of its own."""
    return receive_image(
        actor=actor,
        patient=patient,
        study_id=uuid4(),
        content=phantom_png(seed=seed, size=(512, 512)),
        original_name="selftest.png",
    ).image


def _member(site: Site, username: str, role: str) -> User:
    user = create_member(
        site=site, username=username, role=role, password=secrets.token_urlsafe(24)
    )
    if role == Role.ADMIN:  # Administrators must hold a second factor to be let in.
        Authenticator.objects.create(
            user=user, type=Authenticator.Type.TOTP, data={"secret": secrets.token_hex(8)}
        )
    return user
