"""The page of notifications, the bell in the header, and the choice of letters."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from screening.accounts.access import requires
from screening.accounts.mail import mail_is_on
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.worklist import notices
from screening.worklist.forms import MailForm
from screening.worklist.models import MailWishes
from screening.worklist.notice_selectors import notification_page, unread_notifications


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


@requires(Permission.VIEW_STUDIES)
@require_safe
def notifications(request: HttpRequest) -> HttpResponse:
    """What the person was told, newest first."""
    user = _user(request)
    page = notification_page(user, before=request.GET.get("before", ""))
    record("notification.list", actor=user, detail={"shown": len(page.notifications)})
    wishes = MailWishes.objects.filter(user=user).first()
    context = {
        "page": page,
        "unread": unread_notifications(user),
        "mail_is_on": mail_is_on(),
        "form": MailForm(instance=wishes),
    }
    return render(request, "worklist/notifications.html", context)


@requires(Permission.VIEW_STUDIES)
@require_POST
def mark_read(request: HttpRequest) -> HttpResponse:
    """Mark everything read."""
    notices.mark_read(actor=_user(request))
    return redirect("worklist:notifications")


@requires(Permission.VIEW_STUDIES)
@require_POST
def set_mail(request: HttpRequest) -> HttpResponse:
    """Choose which notifications come as letters too."""
    form = MailForm(request.POST)
    form.is_valid()  # Three switches: nothing can be wrong with them.
    notices.set_mail_wishes(actor=_user(request), **form.cleaned_data)
    messages.success(request, _("Your choice is saved."))
    return redirect("worklist:notifications")


@requires(Permission.VIEW_STUDIES)
@require_safe
def bell(request: HttpRequest) -> HttpResponse:
    """The bell, for a page that shows it; nothing (204) unless its number has changed."""
    unread = unread_notifications(_user(request))
    if request.GET.get("seen") == str(unread):
        return HttpResponse(status=204)
    return render(request, "worklist/parts/bell.html", {"unread": unread, "in_swap": True})
