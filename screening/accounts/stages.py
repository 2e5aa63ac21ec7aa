"""What stands between a right password and a session."""

from __future__ import annotations

from allauth.account.stages import LoginStage
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from screening.accounts.second_factors import has_second_factor, proved_second_factor


class SecondFactorStage(LoginStage):  # type: ignore[misc]  # allauth has no types
    """Whoever has a second factor is asked for it, by whatever way the person comes in.

    Somebody who must have one and has none is let in, and can do nothing but set it up
    (``SecondFactorMiddleware``).
    """

    key = "second_factor"
    urlname = "accounts:prove_second_factor"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        if self.login.user is None or not has_second_factor(self.login.user):
            return None, True
        if proved_second_factor(self.request, self.login.user):
            return None, True  # Elsewhere, where the settings let that count.
        return HttpResponseRedirect(reverse(self.urlname)), True
