"""What a model is worth at a site itself: its answers held against confirmed diagnoses.

Only studies with a confirmed diagnosis count, and these are seldom a fair draw from all; so what
share of the studies they are is always told beside the figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import numpy as np
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from screening.accounts.models import Site, User
from screening.audit.services import record
from screening.core.errors import InvalidInput
from screening.governance.proposal import Goal, Proposal, enough_to_propose, propose
from screening.governance.reliability import Reliability, reliability_of
from screening.governance.roc import (
    Area,
    Cases,
    Counts,
    Curve,
    Figures,
    area_of,
    counts_at,
    curve_of,
)
from screening.inference.models import ModelVersion, Result, ShadowAnswer
from screening.studies.models import ConfirmedDiagnosis, Diagnosis, Status

MOST_RESULTS = 200_000
GRID = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


class Target(models.TextChoices):
    """What is to be found. Something else than the three classes is abnormal, but neither
    COVID-19 nor pneumonia."""

    COVID = "covid", gettext_lazy("COVID-19")
    PNEUMONIA = "pneumonia", gettext_lazy("Pneumonia, not COVID-19")
    ABNORMAL = "abnormal", gettext_lazy("Anything abnormal")


class Unit(models.TextChoices):
    """What counts as one."""

    STUDY = "study", gettext_lazy("Each study")
    PATIENT = "patient", gettext_lazy("Each patient once, with the first study of the period")


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be held against what. The days are those on which studies arrived."""

    version: ModelVersion
    since: date
    until: date
    target: Target = Target.COVID
    unit: Unit = Unit.STUDY
    goal: Goal = Goal.SENSITIVITY
    wanted: float = 0.9
    prevalence: float | None = None
    """Among the site's patients, where it is known; None for that of the counted cases."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many studies with an answer have a confirmed diagnosis: of those that the AI called at
    its operating point, and of the others."""

    called: int
    called_confirmed: int
    others: int
    others_confirmed: int

    @property
    def studies(self) -> int:
        return self.called + self.others

    @property
    def confirmed(self) -> int:
        return self.called_confirmed + self.others_confirmed

    @property
    def share(self) -> float | None:
        return self.confirmed / self.studies if self.studies else None

    @property
    def called_share(self) -> float | None:
        return self.called_confirmed / self.called if self.called else None

    @property
    def others_share(self) -> float | None:
        return self.others_confirmed / self.others if self.others else None

    @property
    def is_lopsided(self) -> bool:
        """Whether called studies are confirmed clearly more, or less, often than the others."""
        if self.called_share is None or self.others_share is None:
            return False
        return abs(self.called_share - self.others_share) > 0.1


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """One line of the table: a threshold, what it gives, and whether it is a special one."""

    threshold: float
    counts: Counts
    figures: Figures
    is_in_force: bool = False
    is_proposed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The answer to a question. The figures are None where one side has no case at all."""

    question: Question
    coverage: Coverage
    cases: Cases
    patients: int
    curve: Curve | None = None
    area: Area | None = None
    reliability: Reliability | None = None
    proposal: Proposal | None = None
    in_force: float | None = None

    @property
    def prevalence(self) -> float | None:
        return self.cases.positives / len(self.cases.scores) if len(self.cases.scores) else None

    @property
    def may_propose(self) -> bool:
        return enough_to_propose(self.cases)

    @property
    def at_point_in_force(self) -> Counts | None:
        """What the operating point in force gives here."""
        if self.curve is None or self.in_force is None:
            return None
        return counts_at(self.cases, self.in_force)

    @property
    def figures_in_force(self) -> Figures | None:
        """The same as shares."""
        counts = self.at_point_in_force
        return counts.figures(self.question.prevalence) if counts is not None else None

    @property
    def assumed_prevalence(self) -> float | None:
        """The one at which predictive values are told."""
        return self.question.prevalence or self.prevalence

    def rows(self) -> list[ThresholdRow]:
        """The threshold table, from the lowest up."""
        proposed = self.proposal.threshold if self.proposal is not None else None
        special = {value for value in (self.in_force, proposed) if value is not None}
        rows = []
        for threshold in sorted({*GRID, *special}):
            counts = counts_at(self.cases, threshold)
            rows.append(
                ThresholdRow(
                    threshold=threshold,
                    counts=counts,
                    figures=counts.figures(self.question.prevalence),
                    is_in_force=threshold == self.in_force,
                    is_proposed=threshold == proposed,
                )
            )
        return rows


@dataclass(frozen=True, slots=True)
class _Study:
    """One study with an answer of the model."""

    patient: UUID
    arrived: datetime
    score: float
    called: bool


def calibrate(
    *, actor: User, site: Site, question: Question, in_force: float | None = None
) -> Calibration:
    """Hold the answers of one model version at ``site`` against the diagnoses recorded there.

    The caller has asked for the actor's right at the site. ``in_force`` is the operating point to
    be shown among the thresholds. That it was asked is on record.

    :raises InvalidInput: ``too_many_results`` for a period that is too long.
    """
    studies = _studies(site, question)
    truth = _diagnoses(site, question)
    coverage = _coverage(studies, truth)
    cases, patients = _cases(studies, truth, question)
    record(
        "calibration.view",
        site_id=site.pk,
        actor=actor,
        detail={
            "model": str(question.version),
            "target": question.target.value,
            "studies": coverage.studies,
            "confirmed": coverage.confirmed,
        },
    )
    if not cases.positives or not cases.negatives:
        return Calibration(question, coverage, cases, patients, in_force=in_force)
    proposal = None
    if enough_to_propose(cases):
        proposal = propose(cases, question.goal, question.wanted, question.prevalence)
    return Calibration(
        question=question,
        coverage=coverage,
        cases=cases,
        patients=patients,
        curve=curve_of(cases),
        area=area_of(cases),
        reliability=reliability_of(cases),
        proposal=proposal,
        in_force=in_force,
    )


def versions_at(site: Site) -> list[ModelVersion]:
    """The model versions that have answered at the site, the latest used first.

    Those that have only answered in shadow come last.
    """
    ordered: dict[UUID, None] = {}
    for answers in (
        Result.objects.filter(image__study__site=site),
        ShadowAnswer.objects.filter(image__study__site=site, status=Status.DONE),
    ):
        rows = answers.order_by().values("model_version").annotate(last=models.Max("created_at"))
        ordered |= dict.fromkeys(row["model_version"] for row in rows.order_by("-last"))
    found = ModelVersion.objects.in_bulk(list(ordered))
    return [found[key] for key in ordered]


def _studies(site: Site, question: Question) -> dict[UUID, _Study]:
    """Every study of the period that the version has answered, be it in shadow, with its highest
    score."""
    wanted = {
        "image__study__site": site,
        "model_version": question.version,
        **_period("image__study__created_at", question),
    }
    results = Result.objects.filter(**wanted).order_by()
    in_shadow = ShadowAnswer.objects.filter(status=Status.DONE, **wanted).order_by()
    if results.count() + in_shadow.count() > MOST_RESULTS:
        raise InvalidInput(
            _("There are too many results in this period. Choose a shorter one."),
            code="too_many_results",
            field="since",
        )
    found: dict[UUID, _Study] = {}
    columns = (
        "image__study",
        "image__study__patient",
        "image__study__created_at",
        "p_covid",
        "p_pneumonia",
        "p_normal",
        "evidence__operating_point__called",
    )
    for study, patient, arrived, covid, pneumonia, normal, called in chain(
        results.values_list(*columns).iterator(), in_shadow.values_list(*columns).iterator()
    ):
        score = {
            Target.COVID: covid,
            Target.PNEUMONIA: pneumonia,
            Target.ABNORMAL: min(max(1.0 - normal, 0.0), 1.0),
        }[question.target]
        before = found.get(study)
        found[study] = _Study(
            patient=patient,
            arrived=arrived,
            score=max(score, before.score) if before is not None else score,
            called=bool(called) or (before is not None and before.called),
        )
    return found


def _diagnoses(site: Site, question: Question) -> dict[UUID, str]:
    rows = ConfirmedDiagnosis.objects.current().filter(
        study__site=site, **_period("study__created_at", question)
    )
    return dict(rows.order_by().values_list("study", "label").iterator())


def _period(field: str, question: Question) -> dict[str, Any]:
    return {
        f"{field}__gte": _midnight(question.since),
        f"{field}__lt": _midnight(question.until + timedelta(days=1)),
    }


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _coverage(studies: dict[UUID, _Study], truth: dict[UUID, str]) -> Coverage:
    counts = {(called, known): 0 for called in (True, False) for known in (True, False)}
    for key, study in studies.items():
        counts[study.called, key in truth] += 1
    return Coverage(
        called=counts[True, True] + counts[True, False],
        called_confirmed=counts[True, True],
        others=counts[False, True] + counts[False, False],
        others_confirmed=counts[False, True],
    )


def _cases(
    studies: dict[UUID, _Study], truth: dict[UUID, str], question: Question
) -> tuple[Cases, int]:
    """What is counted, in the order of arrival, and how many patients it is of."""
    known = sorted(
        ((study, truth[key]) for key, study in studies.items() if key in truth),
        key=lambda pair: (pair[0].arrived, str(pair[0].patient)),
    )
    if question.unit == Unit.PATIENT:
        known = list(_first_of_each_patient(known))
    number_of: dict[UUID, int] = {}
    groups = [number_of.setdefault(study.patient, len(number_of)) for study, _label in known]
    cases = Cases(
        scores=np.array([study.score for study, _label in known], dtype=np.float64),
        positive=np.array([_is_positive(label, question.target) for _study, label in known], bool),
        groups=np.array(groups, dtype=np.int64),
    )
    return cases, len(number_of)


def _first_of_each_patient(known: list[tuple[_Study, str]]) -> Iterator[tuple[_Study, str]]:
    seen: set[UUID] = set()
    for study, label in known:
        if study.patient not in seen:
            seen.add(study.patient)
            yield study, label


def _is_positive(label: str, target: Target) -> bool:
    if target == Target.ABNORMAL:
        return label != Diagnosis.NORMAL
    return label == target.value
