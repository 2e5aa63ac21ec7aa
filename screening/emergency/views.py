"""Opening a record of another site, and closing it again."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from screening.accounts.access import requires, signed_in
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.accounts.reauthentication import require_recent_sign_in
from screening.core.errors import PortalError
from screening.emergency import rules, selectors, services
from screening.emergency.forms import OpenForm


@requires(Permission.BREAK_GLASS)
@require_recent_sign_in
@require_http_methods(["GET", "HEAD", "POST"])
def open_record(request: HttpRequest) -> HttpResponse:
    """Say exactly whose record is needed, and why; what is found opens at once."""
    user = cast(User, request.user)
    sites = rules.sites_open_to(user)
    form = OpenForm(request.POST or None, sites=sites)
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            access = services.open_record(
                actor=user, sought=form.sought(), reason=form.cleaned_data["reason"]
            )
        except PortalError as error:
            form.add_error(error.field, error.message)
            status = error.http_status
        else:
            return redirect("record:case_record", access.patient_id)
    context = {"form": form, "sites": sites, "opened": selectors.open_accesses(user)}
    return render(request, "emergency/open.html", context, status=status)


@signed_in
@require_POST
def end(request: HttpRequest, access_id: UUID) -> HttpResponse:
    """Close the record: whoever opened it, or an admin of either site."""
    user = cast(User, request.user)
    access = selectors.get_access(user, access_id)
    if services.end_access(actor=user, access=access):
        messages.success(request, _("The emergency access is ended. The record is closed."))
    return redirect("emergency:open" if access.user_id == user.pk else "emergency:reviews")
