"""The page on which an admin sees what a model is worth at the own site."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from screening.accounts.access import requires
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, home_site
from screening.core.errors import InvalidInput
from screening.governance import choices, pictures, selectors
from screening.governance.calibration import Calibration, Question, Target, calibrate, versions_at
from screening.governance.calibration_forms import CalibrationForm
from screening.governance.proposal import ENOUGH, FEWEST, Goal
from screening.governance.templatetags.operating_points import interval, rate
from screening.inference.packages import Package

PAGE = "governance/calibration.html"
_AIMS = {
    Goal.SENSITIVITY: gettext_lazy("a sensitivity of at least"),
    Goal.SPECIFICITY: gettext_lazy("a specificity of at least"),
    Goal.PPV: gettext_lazy("a PPV of at least"),
}


@requires(Permission.SET_OPERATING_POINTS)
@require_safe
def calibration(request: HttpRequest) -> HttpResponse:
    """Answers held against confirmed diagnoses: curve, reliability, thresholds, a proposal."""
    actor = cast(User, request.user)
    site = home_site(actor, Permission.SET_OPERATING_POINTS)
    versions = versions_at(site)
    if not versions:
        return render(request, PAGE, {"site": site})
    form = CalibrationForm(request.GET.dict(), versions=versions)
    context: dict[str, Any] = {"site": site, "form": form, "fewest": FEWEST, "enough": ENOUGH}
    if not form.is_valid():
        return render(request, PAGE, context, status=422)
    question = form.question()
    package = _package_of(question)
    in_force = None
    if package is not None and question.target == Target.COVID:
        in_force = selectors.point_in_force(site, package).point.threshold
    try:
        found = calibrate(actor=actor, site=site, question=question, in_force=in_force)
    except InvalidInput as error:
        form.add_error(error.field, error.message)
        return render(request, PAGE, context, status=error.http_status)
    context |= {"found": found, **_drawings(found)}
    if found.proposal is not None:
        context["use_address"] = _use_address(site, package, found)
    return render(request, PAGE, context)


def _package_of(question: Question) -> Package | None:
    """The installed package of the version asked about, if it still is that very one."""
    version = question.version
    for package in choices.usable_packages():
        if (package.name, package.version, package.weights_sha256) == (
            version.name,
            version.version,
            version.weights_sha256,
        ) and choices.calibration_hash(package.manifest) == choices.calibration_hash(
            version.manifest
        ):
            return package
    return None


def _drawings(found: Calibration) -> dict[str, Any]:
    if found.curve is None or found.reliability is None:
        return {}
    return {
        "roc_drawing": pictures.roc_drawing(found),
        "reliability_drawing": pictures.reliability_drawing(found.reliability.bins),
        "predictive_drawing": pictures.predictive_drawing(found),
    }


def _use_address(site: Site, package: Package | None, found: Calibration) -> str:
    """Where the proposed threshold is put in force, with the reason filled in.

    Empty where it can't be: COVID-19 is what is called, and only by an installed model.
    """
    if package is None or found.proposal is None or found.question.target != Target.COVID:
        return ""
    query = {
        "model": package.fingerprint,
        "threshold": f"{found.proposal.threshold * 100.0:.12g}",
        "reason": _reason(found),
    }
    return f"{reverse('governance:operating_points')}?{urlencode(query)}"


def _reason(found: Calibration) -> str:
    """What the calibration found, in the words that stay with the choice."""
    proposal, question = found.proposal, found.question
    if proposal is None:
        return ""
    expected = proposal.expected
    shares = ", ".join(
        f"{name} {rate(value)} ({interval(bounds)})"
        for name, value, bounds in (
            (_("sensitivity"), expected.sensitivity, expected.sensitivity_ci),
            (_("specificity"), expected.specificity, expected.specificity_ci),
            ("PPV", expected.ppv, expected.ppv_ci),
            ("NPV", expected.npv, expected.npv_ci),
        )
    )
    return _(
        "Local calibration of %(day)s: %(positives)s cases with COVID-19 and %(negatives)s "
        "without, arrived from %(since)s to %(until)s. Aim: %(aim)s %(wanted)s. "
        "To be expected on new cases: %(shares)s."
    ) % {
        "day": date_format(timezone.localdate(), "DATE_FORMAT"),
        "positives": found.cases.positives,
        "negatives": found.cases.negatives,
        "since": date_format(question.since, "DATE_FORMAT"),
        "until": date_format(question.until, "DATE_FORMAT"),
        "aim": _AIMS[question.goal],
        "wanted": rate(question.wanted),
        "shares": shares,
    }
