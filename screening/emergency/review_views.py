"""What admins see of emergencies to and from their sites."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission, home_site
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.emergency import rules, selectors, services
from screening.emergency.forms import ReviewForm, RuleForm
from screening.emergency.models import MayOpen

REVIEW = Permission.REVIEW_EMERGENCIES


@requires(REVIEW)
@require_safe
def reviews(request: HttpRequest) -> HttpResponse:
    """Who opened what across the site's border, what is to be reviewed, and who may at all."""
    user = cast(User, request.user)
    found = selectors.accesses_to_review(user)
    site = home_site(user, REVIEW)
    record("emergency.list", actor=user, detail={"shown": len(found)})
    form = RuleForm(initial={"may_open": rules.may_open_at(site.pk)})
    context = {
        "found": found,
        "waiting": sum(bool(one.missing) for one in found),
        "site": site,
        "form": form,
    }
    return render(request, "emergency/reviews.html", context)


@requires(REVIEW, asked_later=True)
@require_POST
def review(request: HttpRequest, access_id: UUID) -> HttpResponse:
    """Note who has looked into it, with a remark."""
    user = cast(User, request.user)
    access = selectors.get_access(user, access_id)
    form = ReviewForm(request.POST)
    if not form.is_valid():
        raise InvalidInput(_("Say for which site, with a remark of up to 1000 characters."))
    try:
        services.review_access(
            actor=user,
            access=access,
            site_id=form.site_id(),
            remark=form.cleaned_data["remark"],
        )
    except Conflict as conflict:
        messages.warning(request, conflict.message)
    else:
        messages.success(request, _("Your review is recorded."))
    return redirect("emergency:reviews")


@requires(Permission.MANAGE_SITE)
@require_POST
def rule(request: HttpRequest) -> HttpResponse:
    """Choose who of other sites may open this site's records."""
    user = cast(User, request.user)
    form = RuleForm(request.POST)
    if not form.is_valid():
        raise InvalidInput(_("Choose one of the values that are offered."), field="may_open")
    rules.set_may_open(
        actor=user,
        site=home_site(user, Permission.MANAGE_SITE),
        may_open=MayOpen(form.cleaned_data["may_open"]),
    )
    messages.success(request, _("The rule is saved and holds from now on."))
    return redirect("emergency:reviews")
