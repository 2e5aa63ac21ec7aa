"""What addresses of North may name: people, invitations, patients, studies, reports."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from django.contrib.auth.tokens import default_token_generator
from django.test import Client
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from screening.accounts.models import Site, User
from screening.accounts.second_factors import factors_of
from screening.accounts.services.devices import make_device
from screening.accounts.services.invitations import create_invitation
from screening.accounts.services.tokens import make_token
from screening.emergency.models import EmergencyAccess
from screening.patients.models import Erasure, Patient
from screening.reading.services import Draft, sign_reading
from screening.report.services import issue_report
from screening.retention.services import erase
from screening.sharing.options import ExportOptions
from screening.sharing.services import build_export, request_export
from screening.studies.selectors import get_study
from screening.worklist.saved_views import save_view
from tests.personas import give_app, make_patient, make_user, membership_of
from tests.record import rows

Objects = dict[str, str]


def accounts_of_north(clinician: User, admin: User) -> Objects:
    """What addresses of the accounts may name; all is the clinician's, or made by the admin."""
    site = membership_of(admin).site
    issued = create_invitation(
        actor=admin, site=site, email="i@example.org", role="clinician", build_url=str
    )
    colleague = make_user(site, username="arne")
    browser = Client()
    browser.force_login(clinician)
    tokens = [
        make_token(user=one, name="Export", scopes=["read"], days=30).token
        for one in (clinician, colleague)
    ]
    give_app(clinician)
    return {
        "factor_id": str(factors_of(clinician).get().pk),
        "handle": str(browser.session["handle"]),
        "token_id": str(tokens[0].pk),
        "colleague_token_id": str(tokens[1].pk),
        "device_id": str(make_device(actor=admin, site=site, name="X-ray room 1").pk),
        "membership_id": str(membership_of(clinician).pk),
        "invitation_id": str(issued.invitation.pk),
        "uidb64": urlsafe_base64_encode(force_bytes(clinician.pk)),
        "reset_token": default_token_generator.make_token(clinician),
        "invitation_token": issued.link.split("/")[2],
        "view_id": str(save_view(actor=clinician, name="Mornings", query="claim=free").pk),
    }


def studies_of_north(clinician: User, patient: Patient) -> Objects:
    """What addresses of patients and studies may name."""
    done = rows.send_image(clinician, patient)
    result = rows.finish(done)
    failed = rows.send_image(clinician, patient, seed=2)
    rows.fail(failed)
    overridden = rows.send_image(clinician, patient, seed=3)
    rows.finish(overridden)
    # Neither of the two who look at North's objects is the reader: both may look a second time.
    reader = make_user(patient.site, username="anna")
    draft = Draft("normal", "Clear.", "overrides", "A shadow of the breast.")
    reading = sign_reading(actor=reader, study=overridden.study, draft=draft, version=0)
    unreported = rows.send_image(clinician, patient, seed=4)
    rows.finish(unreported)
    sign_reading(actor=reader, study=unreported.study, draft=draft, version=0)
    return {
        "reading_id": str(reading.pk),
        "discrepancy_id": str(reading.discrepancy.pk),
        "signed_study_id": str(overridden.study_id),
        "unreported_study_id": str(unreported.study_id),
        "patient_id": str(patient.pk),
        "study_id": str(done.study_id),
        "image_id": str(done.pk),
        "failed_image_id": str(failed.pk),
        "model_id": str(result.model_version_id),
        "new_study_id": str(uuid4()),
    }


def reports_of_north(clinician: User, studies: Objects) -> Objects:
    """What addresses of reports may name, and what those of studies may."""
    study = get_study(clinician, UUID(studies["signed_study_id"]))
    report = issue_report(
        actor=clinician, study=study, build_url=lambda code: f"https://example.org/{code}"
    )
    return {**studies, "report_id": str(report.pk), "code": report.code}


def exports_of_north(admin: User, studies: Objects) -> Objects:
    """What addresses of de-identified exports may name: one of the administrator's."""
    export = request_export(
        actor=admin,
        keys=[UUID(studies["signed_study_id"])],
        options=ExportOptions(keep_list=True),
    )
    build_export(export.pk)
    return {**studies, "export_id": str(export.pk)}


def erasures_of_north(site: Site) -> Objects:
    """What the address of a certificate may name: somebody who is gone."""
    gone = make_patient(site, family_name="Gone")
    return {"erasure_id": str(erase(gone.pk, kind=Erasure.Kind.ASKED).pk)}


def emergency_of_north(patient: Patient, reader: User) -> Objects:
    """North's record, which ``reader`` of another site has open in an emergency."""
    access = EmergencyAccess.objects.create(
        user=reader,
        home_site=membership_of(reader).site,
        site=patient.site,
        patient=patient,
        reason="Brought in unconscious.",
        expires_at=timezone.now() + timedelta(hours=1),
    )
    return {"access_id": str(access.pk), "emergency_site_id": str(access.site_id)}
