"""The page on which an admin chooses from where on COVID-19 is called at the site."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from screening.accounts.access import requires
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, home_site
from screening.core.errors import Conflict, InvalidInput
from screening.governance import choices, selectors
from screening.governance.forms import OperatingPointForm
from screening.governance.models import Aim
from screening.governance.operating_points import choose_operating_point
from screening.inference.packages import Package

PAGE = "governance/operating_points.html"


@requires(Permission.SET_OPERATING_POINTS)
@require_http_methods(["GET", "HEAD", "POST"])
def operating_points(request: HttpRequest) -> HttpResponse:
    """What is in force for a model, what may be chosen instead, and every earlier choice."""
    actor = cast(User, request.user)
    site = home_site(actor, Permission.SET_OPERATING_POINTS)
    packages = choices.usable_packages()
    if not packages:
        return render(request, PAGE, {"site": site})
    wanted = request.POST.get("model") or request.GET.get("model", "")
    package = _chosen(packages, wanted, selectors.active_package(site))
    if request.method != "POST":
        return _show(request, site, packages, package, _blank_form(request, site, package))
    form = OperatingPointForm(request.POST, choices=choices.choices_of(package))
    if wanted != package.fingerprint:
        form.add_error(None, _("This model is not installed any more. Look at what is here now."))
        return _show(request, site, packages, package, form, status=409)
    if not form.is_valid():
        return _show(request, site, packages, package, form, status=422)
    try:
        chosen = choose_operating_point(actor=actor, site=site, package=package, **form.values())
    except (Conflict, InvalidInput) as error:
        form.add_error(error.field, error.message)
        return _show(request, site, packages, package, form, status=error.http_status)
    if chosen.threshold is None:
        messages.success(request, _("From now on the model's own operating point applies."))
    else:
        messages.success(
            request,
            _("From now on COVID-19 is called from %(threshold)s on.")
            % {"threshold": selectors.in_percent(chosen.threshold)},
        )
    query = urlencode({"model": package.fingerprint})
    return redirect(f"{reverse('governance:operating_points')}?{query}")


def _chosen(packages: list[Package], fingerprint: str, active: Package | None) -> Package:
    """The model asked for, else the one that answers at the site, else the first."""
    known = {package.fingerprint: package for package in packages}
    answering = active.fingerprint if active is not None else ""
    return known.get(fingerprint) or known.get(answering) or packages[0]


def _blank_form(request: HttpRequest, site: Site, package: Package) -> OperatingPointForm:
    """The form as it stands before anything is chosen; a local calibration may have filled it."""
    now = selectors.point_in_force(site, package)
    initial: dict[str, Any] = {
        "model": package.fingerprint,
        "seen": str(now.row.pk) if now.row is not None else "",
        "reason": request.GET.get("reason", "")[:2000],
    }
    if "threshold" in request.GET:
        initial |= {"choice": Aim.THRESHOLD.value, "threshold": request.GET["threshold"][:30]}
    return OperatingPointForm(initial=initial, choices=choices.choices_of(package))


def _show(
    request: HttpRequest,
    site: Site,
    packages: list[Package],
    package: Package,
    form: OperatingPointForm,
    status: int = 200,
) -> HttpResponse:
    offered = choices.choices_of(package)
    buttons = list(form["choice"])
    context = {
        "site": site,
        "packages": packages,
        "package": package,
        "active": selectors.active_package(site),
        "now": selectors.point_in_force(site, package),
        "rows": list(zip(buttons, offered, strict=False)),
        "typed": buttons[-1],
        "form": form,
        "history": selectors.points_chosen(request.user, site),
    }
    return render(request, PAGE, context, status=status)
