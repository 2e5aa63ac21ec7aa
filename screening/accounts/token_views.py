"""One's own API tokens, and for an admin those of everybody at the site."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from screening.accounts import selectors
from screening.accounts.access import requires, signed_in
from screening.accounts.models import User
from screening.accounts.policies import Permission, home_site
from screening.accounts.reauthentication import ask_again, is_recent
from screening.accounts.services import tokens
from screening.accounts.token_forms import TokenForm

MANAGE = Permission.MANAGE_USERS


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def own_tokens(request: HttpRequest) -> HttpResponse:
    """The tokens of the person. A new one's secret stands on the answer to the POST only."""
    user = cast(User, request.user)
    if request.method == "POST" and not is_recent(request):
        return ask_again(request)  # A token outlives the session that made it.
    form = TokenForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        issued = tokens.make_token(user=user, **form.cleaned_data)
        return render(request, "accounts/token_issued.html", {"issued": issued})
    context = {"form": form, "tokens": selectors.tokens_of(user)}
    return render(request, "accounts/tokens.html", context)


@signed_in
@require_POST
def revoke_own(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Make one of one's own tokens useless."""
    user = cast(User, request.user)
    tokens.revoke_token(actor=user, token=selectors.get_own_token(user, token_id))
    messages.success(request, _("The token is revoked."))
    return redirect("accounts:tokens")


@requires(MANAGE)
@require_safe
def site_tokens(request: HttpRequest) -> HttpResponse:
    """Every living token of whoever works at the admin's site."""
    actor = cast(User, request.user)
    site = home_site(actor, MANAGE)
    context = {"site": site, "tokens": selectors.tokens_at(actor, site)}
    return render(request, "accounts/site_tokens.html", context)


@requires(MANAGE, asked_later=True)
@require_POST
def revoke_at_site(request: HttpRequest, token_id: UUID) -> HttpResponse:
    """Make a colleague's or a device's token useless."""
    actor = cast(User, request.user)
    tokens.revoke_token(actor=actor, token=selectors.get_token(actor, token_id))
    messages.success(request, _("The token is revoked."))
    return redirect("accounts:site_tokens")
