"""One's own settings, and those of the site."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from screening.accounts.access import requires, signed_in
from screening.accounts.forms import SecondFactorRolesForm
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, home_site, home_site_id
from screening.accounts.preference_forms import PreferencesForm, SiteSettingsForm
from screening.accounts.preferences import zone_of_site
from screening.accounts.services import preferences, sessions
from screening.core.errors import InvalidInput


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Language and time zone of the person who is signed in."""
    user = cast(User, request.user)
    site = Site.objects.get(pk=home_site_id(user) or "")
    zone = zone_of_site(site).key
    if request.method == "POST":
        form = PreferencesForm(request.POST, site_zone=zone)
        if form.is_valid():
            preferences.set_preferences(user=user, **form.cleaned_data)
            if user.language:
                translation.activate(user.language)  # The answer is in the new language already.
            messages.success(request, _("Your settings are saved."))
            return redirect("accounts:account")
    else:
        form = PreferencesForm.of(user, site_zone=zone)
    return render(request, "accounts/account.html", {"form": form})


@requires(Permission.MANAGE_SITE)
@require_http_methods(["GET", "HEAD", "POST"])
def site_settings(request: HttpRequest) -> HttpResponse:
    """What holds for everybody at the admin's site."""
    actor = cast(User, request.user)
    site = home_site(actor, Permission.MANAGE_SITE)
    form = SiteSettingsForm(request.POST) if request.method == "POST" else SiteSettingsForm.of(site)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            with transaction.atomic():
                preferences.set_site_time_zone(
                    actor=actor, site=site, time_zone=values["time_zone"]
                )
                sessions.set_site_idle_time(actor=actor, site=site, minutes=values["idle_minutes"])
        except InvalidInput as error:
            form.add_error(error.field, error.message)
        else:
            messages.success(request, _("The settings of the site are saved."))
            return redirect("accounts:site_settings")
    roles = SecondFactorRolesForm(initial={"roles": site.second_factor_roles})
    context = {"form": form, "site": site, "roles_form": roles}
    return render(request, "accounts/site_settings.html", context)
