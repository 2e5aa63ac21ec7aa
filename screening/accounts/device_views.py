"""The devices of a site and their tokens, for the site's admins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from screening.accounts import selectors
from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission, home_site, require
from screening.accounts.reauthentication import require_recent_sign_in
from screening.accounts.services import devices
from screening.accounts.token_forms import DeviceForm, LifetimeForm
from screening.core.errors import InvalidInput

MANAGE = Permission.MANAGE_USERS


@requires(MANAGE)
@require_http_methods(["GET", "HEAD", "POST"])
def device_list(request: HttpRequest) -> HttpResponse:
    """The devices of the admin's site, and a form for one more."""
    actor = cast(User, request.user)
    form = DeviceForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = devices.make_device(
                actor=actor, site=home_site(actor, MANAGE), name=form.cleaned_data["name"]
            )
        except InvalidInput as error:
            form.add_error(error.field, error.message)
        else:
            messages.success(request, _("The device is there. Now make a token for it."))
            return redirect("accounts:device_token", made.pk)
    return _show_devices(request, form)


@requires(MANAGE, asked_later=True)
@require_recent_sign_in
@require_http_methods(["GET", "HEAD", "POST"])
def device_token(request: HttpRequest, device_id: UUID) -> HttpResponse:
    """Make a token for a device; its secret is shown on the answer to the POST only."""
    actor = cast(User, request.user)
    device = selectors.get_device(actor, device_id)
    require(actor, MANAGE, device.site_id)
    form = LifetimeForm(
        request.POST if request.method == "POST" else None, initial={"name": device.name}
    )
    if request.method == "POST" and form.is_valid():
        issued = devices.make_device_token(actor=actor, device=device, **form.cleaned_data)
        return render(request, "accounts/token_issued.html", {"issued": issued, "device": device})
    return render(request, "accounts/device_token.html", {"form": form, "device": device})


@requires(MANAGE, asked_later=True)
@require_POST
def deactivate_device(request: HttpRequest, device_id: UUID) -> HttpResponse:
    """Refuse the device from now on."""
    done = _("%(device)s is refused from now on, and its tokens are gone.")
    return _act(request, device_id, devices.deactivate_device, done)


@requires(MANAGE, asked_later=True)
@require_POST
def reactivate_device(request: HttpRequest, device_id: UUID) -> HttpResponse:
    """Let a device in again."""
    done = _("%(device)s may have tokens again.")
    return _act(request, device_id, devices.reactivate_device, done)


def _act(
    request: HttpRequest, device_id: UUID, act: Callable[..., None], done: str
) -> HttpResponse:
    actor = cast(User, request.user)
    device = selectors.get_device(actor, device_id)
    act(actor=actor, device=device)
    messages.success(request, done % {"device": device.name})
    return redirect("accounts:devices")


def _show_devices(request: HttpRequest, form: DeviceForm) -> HttpResponse:
    actor = cast(User, request.user)
    site = home_site(actor, MANAGE)
    context: dict[str, Any] = {
        "site": site,
        "devices": selectors.devices_at(actor, site),
        "form": form,
    }
    return render(request, "accounts/devices.html", context)
