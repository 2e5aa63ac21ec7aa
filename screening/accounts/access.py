"""How a page says who may open it. A page that says nothing is closed to everyone.

``LoginRequiredMiddleware`` turns away whoever has not signed in, and every view carries one of
the marks below; ``tests/permissions`` fails for a view that has none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _

from screening.accounts.policies import Permission, memberships_with
from screening.core.errors import Forbidden

View = Callable[..., HttpResponseBase]


def public(view: View) -> View:
    """Open to everyone, signed in or not."""
    open_view: View = login_not_required(view)
    open_view.access = "public"  # type: ignore[attr-defined]
    return open_view


def signed_in(view: View) -> View:
    """Open to every active member of any site."""
    view.access = "signed_in"  # type: ignore[attr-defined]
    return view


def before_second_factor(view: View) -> View:
    """Open to somebody who must have a second factor and has none yet.

    Everything else is closed until it is set up; so this is for setting it up, and for leaving.
    """
    view.before_second_factor = True  # type: ignore[attr-defined]
    return view


def requires(permission: Permission, *, asked_later: bool = False) -> Callable[[View], View]:
    """Open to people who hold ``permission`` at one site at least; others get 403.

    The view itself still narrows its objects by ``visible_to`` (outsiders: 404) and asks
    ``policies.require`` for the object's own site before it changes anything. With
    ``asked_later`` that is the only question: for pages about an object whose very existence
    outsiders must not learn, where 403 before 404 would be a hint.
    """

    def mark(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not asked_later and not memberships_with(request.user, permission).exists():
                raise Forbidden(_("Your role does not allow that."))
            return view(request, *args, **kwargs)

        guarded.access = permission  # type: ignore[attr-defined]
        return guarded

    return mark
