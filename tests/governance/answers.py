"""Many studies with answers and diagnoses at once, written straight into the tables."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from django.utils import timezone

from screening.accounts.models import Site, User
from screening.inference.models import Label, ModelVersion, Result
from screening.patients.models import Patient
from screening.studies.models import Basis, ConfirmedDiagnosis, Image, Status, Study
from tests.personas import make_patient
from tests.record import rows


def version(name: str = "thorascreen", number: str = "9.9.9") -> ModelVersion:
    return ModelVersion.objects.get_or_create(
        name=name,
        version=number,
        weights_sha256="9" * 64,
        defaults={"preprocessing_version": "1", "manifest": {}},
    )[0]


def _evidence(called: bool) -> dict[str, Any]:
    evidence: dict[str, Any] = copy.deepcopy(rows.evidence())
    evidence["operating_point"]["called"] = called
    return evidence


def answered_study(
    user: User,
    site: Site,
    *,
    p_covid: Sequence[float] = (0.5,),
    p_normal: float | None = None,
    diagnosis: str = "",
    called: bool = False,
    patient: Patient | None = None,
    arrived: dt.datetime | None = None,
    model: ModelVersion | None = None,
) -> Study:
    """A study with one image for each probability of COVID-19, and what the patient had."""
    study = Study.objects.create(
        site=site, patient=patient or make_patient(site), uploaded_by=user, status=Status.DONE
    )
    if arrived is not None:
        Study.objects.filter(pk=study.pk).update(created_at=arrived)
    for covid in p_covid:
        normal = p_normal if p_normal is not None else (1.0 - covid) / 2
        image = Image.objects.create(
            study=study,
            status=Status.DONE,
            sha256=uuid4().hex * 2,
            format="png",
            size_bytes=1,
            width=1,
            height=1,
            bits_stored=8,
            original="x",
            display="x",
            thumbnail="x",
        )
        Result.objects.create(
            image=image,
            model_version=model or version(),
            label=Label.COVID,
            p_covid=covid,
            p_pneumonia=max(1.0 - covid - normal, 0.0),
            p_normal=normal,
            heatmap="x",
            milliseconds=1.0,
            runtime="litert",
            evidence=_evidence(called),
            receipt={},
        )
    if diagnosis:
        ConfirmedDiagnosis.objects.create(
            study=study,
            label=diagnosis,
            basis=Basis.RT_PCR,
            date=timezone.localdate(),
            recorded_by=user,
        )
    return study
