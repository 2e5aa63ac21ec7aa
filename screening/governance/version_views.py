"""Promoting a model version, rolling one back, and trying one in shadow. Admins of a site only."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from screening.accounts.access import requires
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, home_site
from screening.accounts.reauthentication import require_recent_sign_in
from screening.core.errors import PortalError
from screening.governance import versions
from screening.governance.promotion import review
from screening.governance.version_forms import LookBackForm, PromotionForm
from screening.inference import activations, shadow
from screening.inference.models import Activation

MANAGE = Permission.MANAGE_MODELS


def _place(request: HttpRequest) -> tuple[User, Site]:
    user = cast(User, request.user)
    return user, home_site(user, MANAGE)


@requires(MANAGE)
@require_safe
def versions_list(request: HttpRequest) -> HttpResponse:
    """Every installed version and what it does at the site."""
    return _show(request)


@requires(MANAGE)
@require_http_methods(["GET", "HEAD", "POST"])
@require_recent_sign_in
def promote(request: HttpRequest) -> HttpResponse:
    """Old and new thresholds side by side, and the decision."""
    actor, site = _place(request)
    asked = request.POST if request.method == "POST" else request.GET
    package = versions.get_installed(asked.get("version", ""))
    found = review(site, package)
    blank = {"version": package.fingerprint, "seen": found.answering.mark}
    form = PromotionForm(request.POST if request.method == "POST" else None, initial=blank)
    status = 422 if form.is_bound and not form.is_valid() else 200
    if form.is_bound and form.is_valid():
        try:
            done = activations.activate(
                actor=actor,
                site=site,
                package=package,
                reason=form.cleaned_data["reason"],
                reviewed=form.cleaned_data["reviewed"],
                seen=form.cleaned_data["seen"],
                thresholds=found.to_json(),
            )
        except PortalError as error:
            form.add_error(error.field, error.message)
            status = error.http_status
        else:
            messages.success(
                request,
                _("From the next image on, %(model)s answers at %(site)s.")
                % {"model": done.model_version, "site": site},
            )
            return redirect("governance:versions")
    context = {"review": found, "form": form, "kinds": Activation.Kind}
    return render(request, "governance/version_promote.html", context, status=status)


@requires(MANAGE)
@require_POST
def start_shadow(request: HttpRequest) -> HttpResponse:
    """Let a version answer unseen beside the active one."""
    actor, site = _place(request)
    package = versions.get_installed(request.POST.get("version", ""))
    try:
        shadow.start_shadow(actor=actor, site=site, package=package)
    except PortalError as error:
        return _show(request, problem=error)
    messages.success(
        request,
        _("%(model)s now answers in shadow. Nobody sees it but on the comparison page.")
        % {"model": package},
    )
    return redirect("governance:versions")


@requires(MANAGE)
@require_POST
def stop_shadow(request: HttpRequest) -> HttpResponse:
    """End the run; its answers stay for comparing."""
    actor, site = _place(request)
    try:
        run = shadow.stop_shadow(actor=actor, site=site)
    except PortalError as error:
        return _show(request, problem=error)
    messages.success(
        request, _("%(model)s no longer runs in shadow.") % {"model": run.model_version}
    )
    return redirect("governance:versions")


@requires(MANAGE)
@require_POST
def look_back(request: HttpRequest) -> HttpResponse:
    """Ask the candidate about images that were answered before it was switched on."""
    actor, site = _place(request)
    form = LookBackForm(request.POST)
    if not form.is_valid():
        return _show(request, look_back_form=form, status=422)
    try:
        asked = shadow.look_back(actor=actor, site=site, count=form.cleaned_data["count"])
    except PortalError as error:
        return _show(request, problem=error)
    messages.success(
        request,
        ngettext("%(count)s image is asked for.", "%(count)s images are asked for.", asked)
        % {"count": asked}
        if asked
        else _("The candidate was asked about all of these before."),
    )
    return redirect("governance:versions")


def _show(
    request: HttpRequest,
    *,
    problem: PortalError | None = None,
    look_back_form: LookBackForm | None = None,
    status: int = 200,
) -> HttpResponse:
    user, site = _place(request)
    context: dict[str, Any] = {
        "page": versions.versions_page(user, site),
        "problem": problem,
        "look_back_form": look_back_form or LookBackForm(),
    }
    if problem is not None:
        status = problem.http_status
    return render(request, "governance/versions.html", context, status=status)
