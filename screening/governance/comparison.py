"""A candidate in shadow beside the version that answers, on a site's own studies.

Only images that both have answered are compared. Shares carry 95 % intervals (Wilson 1927), shifts
of a mean those of a normal distribution; with few studies they are wide, and that is the message.
A flag is a study's: it is raised where COVID-19 is called in any of its images.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from ml.operating import Z
from screening.accounts.models import Site
from screening.governance.shares import Share
from screening.inference import activations, shadow
from screening.inference.models import Label, ModelVersion, Result, ShadowAnswer
from screening.studies.models import ConfirmedDiagnosis, Diagnosis, Status

MOST_IMAGES = 5000
"""The newest so many are compared: enough for any decision, and quickly counted."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a mean probability moved, in points of a share (0.1 = ten per cent)."""

    label: str
    name: str
    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Said:
    """What one of the two says of an image."""

    label: str
    shares: tuple[float, float, float]
    called: bool | None
    verdict: str
    uncertain: bool | None
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Pair:
    """An image that both have answered."""

    study_id: UUID
    active: Said
    candidate: Said


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One version's flags against confirmed diagnoses."""

    sensitivity: Share
    specificity: Share


@dataclass(frozen=True)
class Comparison:
    """Everything the comparison page and the review of thresholds are made of."""

    active: ModelVersion | None
    candidate: ModelVersion
    fingerprint: str
    pairs: list[Pair]
    truth: dict[UUID, bool] = field(repr=False)
    """For studies with a confirmed diagnosis: whether it is COVID-19."""
    states: Counter[str]
    """How many images stand how with the candidate."""
    failures: Counter[str]
    only_active: int
    """Images that the candidate's gate alone refused."""
    only_candidate: int
    """Images that the active version's gate alone refused."""
    answered_by_others: int
    """Images whose real answer is of a third version."""

    @property
    def is_cut(self) -> bool:
        return sum(self.states.values()) > MOST_IMAGES

    @cached_property
    def matrix(self) -> list[tuple[str, list[tuple[str, int, bool]]]]:
        """Rows: what the active version says; cells: the candidate's class, count, agreement."""
        counts = Counter((pair.active.label, pair.candidate.label) for pair in self.pairs)
        return [
            (
                str(old.label),
                [(str(new.label), counts[old.value, new.value], old == new) for new in Label],
            )
            for old in Label
        ]

    @cached_property
    def agreement(self) -> Share:
        same = sum(pair.active.label == pair.candidate.label for pair in self.pairs)
        return Share(same, len(self.pairs))

    @cached_property
    def studies(self) -> dict[UUID, list[Pair]]:
        found: dict[UUID, list[Pair]] = {}
        for pair in self.pairs:
            found.setdefault(pair.study_id, []).append(pair)
        return found

    @cached_property
    def flagged_by_active(self) -> set[UUID]:
        return self._studies_where(lambda pair: bool(pair.active.called))

    @cached_property
    def flagged_by_candidate(self) -> set[UUID]:
        return self._studies_where(lambda pair: bool(pair.candidate.called))

    def flagged_from(self, threshold: float, *, by_active: bool = False) -> set[UUID]:
        """The studies that the candidate, or the active version, would flag at a threshold."""
        return self._studies_where(
            lambda pair: (pair.active if by_active else pair.candidate).shares[0] >= threshold
        )

    @cached_property
    def newly_flagged(self) -> list[UUID]:
        return [s for s in self.studies if s in self.flagged_by_candidate - self.flagged_by_active]

    @cached_property
    def no_longer_flagged(self) -> list[UUID]:
        return [s for s in self.studies if s in self.flagged_by_active - self.flagged_by_candidate]

    @property
    def flags(self) -> tuple[Share, Share]:
        """The share of studies flagged by the active version, and by the candidate."""
        total = len(self.studies)
        return (
            Share(len(self.flagged_by_active), total),
            Share(len(self.flagged_by_candidate), total),
        )

    @cached_property
    def shifts(self) -> list[Shift]:
        found = []
        for number, label in enumerate(Label):
            moved = [
                pair.candidate.shares[number] - pair.active.shares[number] for pair in self.pairs
            ]
            if moved:
                found.append(Shift(label.value, str(label.label), *_mean(moved)))
        return found

    @property
    def unreliable(self) -> tuple[Share, Share]:
        return self._both(lambda said: said.verdict == "unreliable")

    @property
    def uncertain(self) -> tuple[Share, Share]:
        return self._both(lambda said: bool(said.uncertain))

    @cached_property
    def milliseconds(self) -> tuple[float, float] | None:
        """Median time an image of the active version, and of the candidate."""
        if not self.pairs:
            return None
        return (
            statistics.median(pair.active.milliseconds for pair in self.pairs),
            statistics.median(pair.candidate.milliseconds for pair in self.pairs),
        )

    @cached_property
    def accuracy(self) -> tuple[Accuracy, Accuracy] | None:
        """Both against confirmed diagnoses; None where no compared study has one."""
        if not self.truth:
            return None
        return (self._against(self.flagged_by_active), self._against(self.flagged_by_candidate))

    def _against(self, flagged: set[UUID]) -> Accuracy:
        ill = {study for study, is_covid in self.truth.items() if is_covid}
        well = set(self.truth) - ill
        return Accuracy(Share(len(ill & flagged), len(ill)), Share(len(well - flagged), len(well)))

    def _both(self, is_so: Callable[[Said], bool]) -> tuple[Share, Share]:
        total = len(self.pairs)
        return (
            Share(sum(is_so(pair.active) for pair in self.pairs), total),
            Share(sum(is_so(pair.candidate) for pair in self.pairs), total),
        )

    def _studies_where(self, is_so: Callable[[Pair], bool]) -> set[UUID]:
        return {pair.study_id for pair in self.pairs if is_so(pair)}


def compare(site: Site, candidate: ModelVersion, fingerprint: str) -> Comparison:
    """Hold what a candidate said at ``site`` against what was really answered there."""
    active = _active_version(site, candidate, fingerprint)
    answers = ShadowAnswer.objects.filter(image__study__site=site, fingerprint=fingerprint)
    states = Counter(answers.order_by().values_list("status", flat=True))
    failed = answers.filter(status=Status.FAILED).order_by().values_list("code", flat=True)
    said = _candidate_said(answers)
    results = _active_said(site, fingerprint, active)
    pairs = [
        Pair(study_id, results[image_id], one)
        for image_id, (study_id, one) in said.items()
        if image_id in results
    ]
    refused = answers.filter(status=Status.REFUSED, image__status=Status.DONE)
    accepted = answers.filter(status=Status.DONE, image__status=Status.REFUSED)
    only_candidate = accepted.count()
    return Comparison(
        active=active,
        candidate=candidate,
        fingerprint=fingerprint,
        pairs=pairs,
        truth=_truth(pair.study_id for pair in pairs),
        states=states,
        failures=Counter(failed),
        only_active=refused.count(),
        only_candidate=only_candidate,
        answered_by_others=max(len(said) - len(pairs) - only_candidate, 0),
    )


def _active_version(site: Site, candidate: ModelVersion, fingerprint: str) -> ModelVersion | None:
    """The version to hold the candidate against: what answers, or what did before the candidate."""
    answering = activations.answering_at(site.pk)
    activation = answering.activation
    if activation is not None:
        is_candidate = activation.fingerprint == fingerprint
        return activation.previous if is_candidate else activation.model_version
    package = answering.package
    return ModelVersion.objects.filter(
        name=package.name, version=package.version, weights_sha256=package.weights_sha256
    ).first()


def _candidate_said(answers: Any) -> dict[UUID, tuple[UUID, Said]]:
    """By image, the newest first."""
    rows = (
        answers.filter(status=Status.DONE)
        .order_by("-image__created_at")
        .values_list(
            "image",
            "image__study",
            "label",
            "p_covid",
            "p_pneumonia",
            "p_normal",
            "called",
            "evidence__shortcut__verdict",
            "evidence__uncertain",
            "milliseconds",
        )[:MOST_IMAGES]
    )
    return {
        image_id: (study_id, _said(label, shares, called, verdict, uncertain, milliseconds))
        for image_id, study_id, label, *shares, called, verdict, uncertain, milliseconds in rows
    }


def _active_said(site: Site, fingerprint: str, active: ModelVersion | None) -> dict[UUID, Said]:
    if active is None:
        return {}
    rows = Result.objects.filter(
        image__study__site=site,
        model_version=active,
        image__shadow_answers__fingerprint=fingerprint,
    ).order_by()
    return {
        image_id: _said(label, shares, called, verdict, uncertain, milliseconds)
        for image_id, label, *shares, called, verdict, uncertain, milliseconds in rows.values_list(
            "image",
            "label",
            "p_covid",
            "p_pneumonia",
            "p_normal",
            "evidence__operating_point__called",
            "evidence__shortcut__verdict",
            "evidence__uncertain",
            "milliseconds",
        )
    }


def _said(
    label: str,
    shares: list[float],
    called: bool | None,
    verdict: str | None,
    uncertain: bool | None,
    milliseconds: float,
) -> Said:
    covid, pneumonia, normal = shares
    return Said(label, (covid, pneumonia, normal), called, verdict or "", uncertain, milliseconds)


def _truth(study_ids: Iterable[UUID]) -> dict[UUID, bool]:
    rows = ConfirmedDiagnosis.objects.current().filter(study__in=set(study_ids))
    return {
        study_id: label == Diagnosis.COVID
        for study_id, label in rows.order_by().values_list("study", "label")
    }


def _mean(values: list[float]) -> tuple[float, tuple[float, float] | None]:
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    spread = Z * statistics.stdev(values) / math.sqrt(len(values))
    return mean, (mean - spread, mean + spread)


def latest_comparison(site: Site) -> Comparison | None:
    """The comparison of the run that is on, else of the last one; None where there was none."""
    candidates = shadow.candidates_of(site.pk)
    if not candidates:
        return None
    running = shadow.running_at(site.pk)
    if running is not None:
        return compare(site, running.model_version, running.fingerprint)
    return compare(site, *candidates[0])
