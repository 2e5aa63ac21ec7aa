"""One row of every table that holds something of a site's patients."""

from __future__ import annotations

import datetime as dt
from uuid import uuid4

from django.utils import timezone

from screening.accounts.models import User
from screening.audit.services import record
from screening.emergency.models import EmergencyAccess, EmergencyAttempt, EmergencyReview
from screening.inference.models import ShadowAnswer, ShadowRun
from screening.insight.models import DailyFigures, ImageStatistics
from screening.patients.models import Erasure, ErasureCertificate, LegalHold, Patient
from screening.reading.models import Addendum, Discrepancy, FirstImpression, Measurements, Reading
from screening.report.models import Report, Withdrawal
from screening.retention.models import RetentionRule
from screening.sharing.models import Export, ExportedStudy, SiteKey
from screening.studies.models import ConfirmedDiagnosis, Image
from screening.worklist.models import Notification, Rule
from tests.record import rows


def make_everything(user: User, patient: Patient, *, seed: int) -> Image:
    """A patient with a study that was analysed, read, reported on and more."""
    site, now = patient.site, timezone.now()
    image = rows.send_image(user, patient, seed=seed)
    result = rows.finish(image)
    study = image.study
    ConfirmedDiagnosis.objects.create(
        study=study, label="covid", basis="rt_pcr", date=dt.date(2026, 1, 1), recorded_by=user
    )
    shadow = {"model_version": result.model_version, "fingerprint": "f" * 64}
    ShadowRun.objects.create(site=site, started_by=user, **shadow)
    ShadowAnswer.objects.create(image=image, due_at=now, **shadow)
    reading = Reading.objects.create(
        study=study, site=site, reader=user, saved_at=now, impression="normal", signed_at=now
    )
    FirstImpression.objects.create(reading=reading, impression="normal")
    Addendum.objects.create(reading=reading, author=user, text="More.")
    Discrepancy.objects.create(reading=reading, site=site, by_class=True, by_flag=False)
    Measurements.objects.create(image=image, author=user)
    Rule.objects.create(site=site)
    Notification.objects.create(user=user, site=site, study=study, kind="assigned", at=now)
    report = Report.objects.create(
        study=study,
        site=site,
        version=1,
        code=f"CODE{seed}",
        file="reports/none.pdf",
        sha256="0" * 64,
        size_bytes=1,
        pages=1,
        issued_by=user,
        issued_at=now,
    )
    Withdrawal.objects.create(report=report, reason="Wrong.", withdrawn_by=user)
    ImageStatistics.objects.create(image=image)
    DailyFigures.objects.create(site=site, day=now.date(), counts={}, counted_at=now)
    export = Export.objects.create(
        site=site, requested_by=user, options={}, sent_at=now, expires_at=now
    )
    ExportedStudy.objects.create(export=export, study=study)
    SiteKey.objects.create(site=site)
    access = EmergencyAccess.objects.create(
        user=user, home_site=site, site=site, patient=patient, reason="Tests.", expires_at=now
    )
    EmergencyReview.objects.create(access=access, site=site, reviewed_by=user)
    EmergencyAttempt.objects.create(user=user, site=site, found=True)
    return image


def make_traces(user: User, patient: Patient) -> None:
    """What keeping and erasing leave at the patient's site: a rule, a hold, a trace."""
    RetentionRule.objects.create(site=patient.site, set_by=user)
    LegalHold.objects.create(
        patient=patient, reason="Court.", placed_by=user, lifted_at=timezone.now()
    )
    erasure = Erasure(site_id=patient.site_id, patient_id=uuid4(), kind=Erasure.Kind.ASKED)
    record("patient.erase", erasure)
    erasure.save(force_insert=True)
    ErasureCertificate.objects.create(erasure=erasure, files=0)
