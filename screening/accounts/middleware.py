"""Ends the session of a person who no longer belongs to any site."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from screening.accounts.policies import has_active_membership


class ActiveMembershipMiddleware:
    """Refuses the very next request of somebody who was deactivated.

    Stands after authentication. Token requests of the API are refused by
    ``accounts.authentication`` in the same way.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if user.is_authenticated and not has_active_membership(user):
            logout(request)
            messages.error(request, "Your account is not active. Ask your administrator.")
            if request.headers.get("HX-Request") or request.path.startswith("/api/"):
                return HttpResponse("Your account is not active.", status=401)
            return HttpResponseRedirect(reverse("accounts:login"))
        return self.get_response(request)
