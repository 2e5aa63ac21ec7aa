"""To the identity provider and back."""

from __future__ import annotations

from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from requests import RequestException

from screening.accounts.access import before_second_factor, public
from screening.accounts.next_page import next_page
from screening.accounts.sign_on.arrival import refuse
from screening.accounts.sign_on.provider import Adapter, Callback


@before_second_factor
@public
@require_safe
def sign_on(request: HttpRequest) -> HttpResponse:
    """Send the browser to the provider. Who is signed in already proves the identity anew."""
    _ensure_configured()
    try:
        provider = Adapter(request).get_provider()
        return provider.send(
            request, next_page=next_page(request, ""), again=request.user.is_authenticated
        )
    except RequestException as error:
        return refuse("sso_unreachable", why=type(error).__name__)
    except OAuth2Error as error:
        return refuse("sso_failed", why=str(error))


@before_second_factor
@public
@require_safe
def sign_on_callback(request: HttpRequest) -> HttpResponse:
    """Where the provider sends the browser back to."""
    _ensure_configured()
    try:
        answer: HttpResponse = Callback.adapter_view(Adapter(request))(request)
    except RequestException as error:
        return refuse("sso_unreachable", why=type(error).__name__)
    except OAuth2Error as error:
        return refuse("sso_failed", why=str(error))
    return answer


def _ensure_configured() -> None:
    if settings.SIGN_ON is None:
        raise Http404
