"""The versions page: what is installed, what answers, what runs in shadow, what was decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.http import Http404

from screening.accounts.models import Site, User
from screening.inference import activations, model_health, packages, shadow
from screening.inference.activations import Answering
from screening.inference.failures import message_of
from screening.inference.model_health import Trouble
from screening.inference.models import Activation, ShadowAnswer, ShadowRun
from screening.inference.packages import Package
from screening.studies.models import Status


@dataclass(frozen=True)
class VersionRow:
    """An installed version and what may be done with it."""

    package: Package
    answers: bool
    in_shadow: bool
    kind: Activation.Kind

    @property
    def may_answer(self) -> bool:
        return self.package.usable and not self.answers

    @property
    def is_way_back(self) -> bool:
        return self.kind == Activation.Kind.ROLL_BACK


@dataclass(frozen=True)
class ShadowState:
    """The run that is on, and how far it has come."""

    run: ShadowRun
    counts: Counter[str]
    failures: list[tuple[str, str, int]]
    """Code, sentence, how often."""

    @property
    def answered(self) -> int:
        return self.counts[Status.DONE] + self.counts[Status.REFUSED]

    @property
    def waiting(self) -> int:
        return self.counts[Status.QUEUED]


@dataclass(frozen=True)
class VersionsPage:
    """Everything of the page."""

    site: Site
    answering: Answering
    trouble: Trouble | None
    rows: list[VersionRow]
    shadow: ShadowState | None
    was_compared: bool
    history: list[Activation]


def versions_page(user: User, site: Site) -> VersionsPage:
    """What an admin sees of the versions at ``site``."""
    answering = activations.answering_at(site.pk)
    run = shadow.running_at(site.pk)
    installed = packages.installed()
    rows = [
        VersionRow(
            package=package,
            answers=package.usable and package.fingerprint == answering.package.fingerprint,
            in_shadow=run is not None and package.fingerprint == run.fingerprint,
            kind=activations.kind_of(site, package, answering),
        )
        for package in installed
    ]
    history = Activation.objects.visible_to(user).filter(site=site)
    return VersionsPage(
        site=site,
        answering=answering,
        trouble=model_health.trouble_with(activations.wanted_at(site.pk)),
        rows=rows,
        shadow=_state(run) if run is not None else None,
        was_compared=bool(shadow.candidates_of(site.pk)),
        history=list(history.select_related("actor", "model_version", "previous")),
    )


def get_installed(fingerprint: str) -> Package:
    """The usable package with this fingerprint, or ``Http404``."""
    for package in packages.installed():
        if package.usable and package.fingerprint == fingerprint:
            return package
    raise Http404


def _state(run: ShadowRun) -> ShadowState:
    answers = ShadowAnswer.objects.filter(
        image__study__site=run.site_id, fingerprint=run.fingerprint
    ).order_by()
    failed = Counter(answers.filter(status=Status.FAILED).values_list("code", flat=True))
    return ShadowState(
        run=run,
        counts=Counter(answers.values_list("status", flat=True)),
        failures=[(code, message_of(code), count) for code, count in failed.most_common()],
    )
