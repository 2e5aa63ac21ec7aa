"""What an admin decides about second factors: who needs one, and who gets a fresh start."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from screening.accounts.access import requires
from screening.accounts.admin_views import act_on_membership
from screening.accounts.forms import SecondFactorRolesForm
from screening.accounts.models import Membership, User
from screening.accounts.policies import Permission, home_site
from screening.accounts.reauthentication import require_recent_sign_in
from screening.accounts.services import preferences, second_factors
from screening.core.errors import InvalidInput


@requires(Permission.MANAGE_SITE)
@require_POST
@require_recent_sign_in
def set_roles(request: HttpRequest) -> HttpResponse:
    """In which roles the admin's site asks for a second factor."""
    actor = cast(User, request.user)
    site = home_site(actor, Permission.MANAGE_SITE)
    form = SecondFactorRolesForm(request.POST)
    if not form.is_valid():
        raise InvalidInput(_("Choose from the roles that are offered."), field="roles")
    preferences.set_second_factor_roles(actor=actor, site=site, **form.cleaned_data)
    messages.success(request, _("The settings of the site are saved."))
    return redirect("accounts:site_settings")


@requires(Permission.MANAGE_USERS, asked_later=True)
@require_POST
@require_recent_sign_in
def reset(request: HttpRequest, membership_id: UUID) -> HttpResponse:
    """Remove the second factors of a colleague who has lost them."""

    def act(actor: User, membership: Membership) -> str:
        second_factors.reset_second_factor(actor=actor, membership=membership)
        return _("%(person)s sets up a new second factor after the next sign-in.") % {
            "person": membership.user
        }

    return act_on_membership(request, membership_id, act)
