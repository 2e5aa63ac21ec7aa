"""The worklist's pages, and what is pressed on them."""

from __future__ import annotations

import hashlib
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from screening.accounts import policies
from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission, home_site
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.worklist import claims, notices, rules, saved_views, selectors
from screening.worklist.forms import FilterForm, RuleForm, ViewForm
from screening.worklist.models import Order, SavedView


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # Every page here is closed to the anonymous.


# --- The list ----------------------------------------------------------------------------------


@requires(Permission.VIEW_STUDIES)
@require_safe
def worklist(request: HttpRequest) -> HttpResponse:
    """All unread studies of the person's sites, in the order in which they are to be read."""
    user = _user(request)
    form = FilterForm(request.GET or None)
    context = _list_context(request, user, form)
    record("worklist.list", actor=user, detail={"shown": len(context["rows"])})
    context |= {
        "form": form,
        "is_filtered": bool(form.is_bound and form.full_query()),
        "views": saved_views.views_of(user),
        "view_form": ViewForm(initial={"query": form.query()}),
        "may_rule": policies.memberships_with(user, Permission.RULE_WORKLIST).exists(),
        "presets": _presets(context["query"]),
    }
    return render(request, "worklist/list.html", context)


@requires(Permission.VIEW_STUDIES)
@require_safe
def rows(request: HttpRequest) -> HttpResponse:
    """The rows alone, for a page that shows them; nothing (204) unless they have changed."""
    user = _user(request)
    context = _list_context(request, user, FilterForm(request.GET or None))
    if request.GET.get("seen") == context["state"]:
        return HttpResponse(status=204)
    record("worklist.list", actor=user, detail={"shown": len(context["rows"]), "renewed": True})
    return render(request, "worklist/parts/rows.html", context)


def _list_context(request: HttpRequest, user: User, form: FilterForm) -> dict[str, Any]:
    found = selectors.worklist_of(user, form.wanted())
    marks = {name: request.GET.get(name, "") for name in ("after", "before")}
    page = found.page(after=marks["after"], before=marks["before"])
    shown = selectors.rows_of(user, page.entries)
    oldest = found.oldest
    query = form.full_query() if form.is_bound else ""
    here = urlencode({name: mark for name, mark in marks.items() if mark})
    return {
        "page": page,
        "rows": shown,
        "count": found.count(),
        "count_to": selectors.COUNT_TO,
        "longest_wait": timezone.now() - oldest.arrived_at if oldest else None,
        "lists": found.lists,
        "is_blind": any(one.blind_since for one in found.lists),
        "flags_first": next((one.rule for one in found.lists if one.flags_first), None),
        "only_first_patients": found.only_first_patients,
        "query": query,
        "here": "&".join(part for part in (query, here) if part),
        "state": _state(shown, page),
    }


def _state(shown: list[selectors.Row], page: Any) -> str:
    text = "|".join([*(row.state for row in shown), page.next, page.previous])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _presets(query: str) -> list[tuple[str, str, bool]]:
    """The views that everybody has: name, filter, and whether it is the present one."""
    named = (
        (_("All unread"), ""),
        (_("Nobody is reading"), "claim=free"),
        (_("I am reading"), "claim=mine"),
        (_("Assigned to me"), "claim=assigned"),
        (_("Failed or refused"), "status=stuck"),
    )
    return [(name, wanted, wanted == query) for name, wanted in named]


# --- In whose hands ----------------------------------------------------------------------------


@requires(Permission.CLAIM_STUDIES)
@require_POST
def claim(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """“I’m reading this”."""
    user = _user(request)
    try:
        claims.claim_study(actor=user, study_id=study_id)
    except Conflict as conflict:
        return _answer(request, study_id, refused=conflict)
    return _answer(request, study_id, said=_("You are reading this study."))


@requires(Permission.CLAIM_STUDIES)
@require_POST
def release(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """Give it back."""
    try:
        claims.release_study(actor=_user(request), study_id=study_id)
    except Conflict as conflict:
        return _answer(request, study_id, refused=conflict)
    return _answer(request, study_id, said=_("The study is free for others again."))


@requires(Permission.CLAIM_STUDIES)
@require_POST
def assign(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """Hand it to a colleague, or to nobody."""
    chosen = request.POST.get("assignee", "")
    try:
        assignee_id = UUID(chosen) if chosen else None
    except ValueError:
        raise InvalidInput(_("There is no such colleague."), code="unknown_colleague") from None
    try:
        entry = claims.assign_study(
            actor=_user(request), study_id=study_id, assignee_id=assignee_id
        )
    except Conflict as conflict:
        return _answer(request, study_id, refused=conflict)
    said = _("The study is handed to %(name)s.") % {"name": entry.assigned_to}
    return _answer(
        request, study_id, said=said if assignee_id else _("It is nobody’s in particular.")
    )


@requires(Permission.RETRY_JOBS)
@require_POST
def retry(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """Queue the failed images of a study once more."""
    try:
        claims.retry_failed_images(actor=_user(request), study_id=study_id)
    except Conflict as conflict:
        return _answer(request, study_id, refused=conflict)
    return _answer(request, study_id, said=_("The failed images are queued again."))


@requires(Permission.CLAIM_STUDIES)
@require_POST
def next_study(request: HttpRequest) -> HttpResponse:
    """Claim the next study in order and open it."""
    form = FilterForm(request.GET or None)
    try:
        after = UUID(request.POST["after"]) if request.POST.get("after") else None
    except ValueError:
        raise InvalidInput(_("There is no such study.")) from None
    try:
        entry = claims.claim_next(actor=_user(request), after=after, wanted=form.wanted())
    except Conflict as conflict:
        messages.info(request, conflict.message)
        return redirect("worklist:list")
    return redirect(reverse("record:study", args=[entry.pk]))


@requires(Permission.VIEW_STUDIES)
@require_POST
def presence(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """Asked by an open study page: who has the study in hand.

    ``active`` says that the person did something there lately, which prolongs a claim of theirs.
    What the person was told of the study counts as read.
    """
    user = _user(request)
    row = selectors.row_of(user, study_id)
    if request.POST.get("active") == "1":
        if claims.prolong_claim(actor=user, study_id=study_id):
            row = selectors.row_of(user, study_id)
        notices.mark_read(actor=user, study_id=study_id)
    return render(request, "worklist/parts/claim_bar.html", _bar_context(user, row))


def _bar_context(user: User, row: selectors.Row) -> dict[str, Any]:
    return {
        "row": row,
        "may_claim": policies.may(user, Permission.CLAIM_STUDIES, row.entry.site_id),
        "colleagues": selectors.colleagues_at(row.entry.site_id, but=user) if row.is_mine else [],
        "idle_minutes": rules.rule_of(row.entry.site_id).idle_minutes,
    }


def _answer(
    request: HttpRequest, study_id: UUID, *, said: str = "", refused: Conflict | None = None
) -> HttpResponse:
    """The study's row or bar as it stands now for scripts, else back to where the person was."""
    words = refused.message if refused else said
    if not request.headers.get("HX-Request"):
        (messages.warning if refused else messages.success)(request, words)
        return redirect(_way_back(request))
    user = _user(request)
    row = selectors.row_of(user, study_id)
    context = {**_bar_context(user, row), "said": words, "in_swap": True}
    part = "claim_bar" if request.POST.get("view") == "bar" else "row"
    return render(request, f"worklist/parts/{part}.html", context)


def _way_back(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.startswith("/"):
        return wanted
    return reverse("worklist:list")


# --- Views and the rule --------------------------------------------------------------------------


@requires(Permission.VIEW_STUDIES)
@require_POST
def save_view(request: HttpRequest) -> HttpResponse:
    """Keep the present filter under a name."""
    form = ViewForm(request.POST)
    if not form.is_valid():
        raise InvalidInput(_("Give the view a name of up to 40 characters."), field="name")
    saved = saved_views.save_view(
        actor=_user(request), name=form.cleaned_data["name"], query=form.cleaned_data["query"]
    )
    messages.success(request, _("The view “%(name)s” is saved.") % {"name": saved.name})
    return redirect(f"{reverse('worklist:list')}?{saved.query}")


@requires(Permission.VIEW_STUDIES)
@require_POST
def delete_view(request: HttpRequest, view_id: UUID) -> HttpResponse:
    """Forget a view of one's own."""
    user = _user(request)
    view = get_object_or_404(SavedView, user=user, pk=view_id)
    saved_views.delete_view(actor=user, view=view)
    messages.success(request, _("The view “%(name)s” is gone.") % {"name": view.name})
    return redirect("worklist:list")


@requires(Permission.RULE_WORKLIST)
@require_http_methods(["GET", "HEAD", "POST"])
def rule(request: HttpRequest) -> HttpResponse:
    """How the person's own site works through its list."""
    user = _user(request)
    site = home_site(user, Permission.RULE_WORKLIST)
    present = rules.rule_of(site.pk)
    form = RuleForm(request.POST or None, instance=present)
    if request.method == "POST" and form.is_valid():
        rules.set_rule(
            actor=user,
            site=site,
            order=Order(form.cleaned_data["order"]),
            cap_minutes=form.cleaned_data["cap_minutes"],
            idle_minutes=form.cleaned_data["idle_minutes"],
        )
        messages.success(request, _("The rule is saved and holds from now on."))
        return redirect("worklist:list")
    lists = selectors.worklist_of(user).lists
    is_blind = any(one.blind_since for one in lists if one.site_id == site.pk)
    return render(request, "worklist/rule.html", {"form": form, "site": site, "is_blind": is_blind})
