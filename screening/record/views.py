"""The pages on which patients and results are read."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_safe

from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission, memberships_with
from screening.patients.holds import active_hold
from screening.record import model_cards, selectors, services, timeline, trend
from screening.record.forms import HistoryFilterForm
from screening.record.selectors import StudyPage

HOME_STUDIES = 8
ATTENTION_STUDIES = 5

# How a study may be drawn when a page asks for news of it.
STATE_VIEWS = frozenset({"page", "row", "upload"})


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # Every page here is closed to the anonymous.


@requires(Permission.VIEW_STUDIES)
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Where one begins: find a patient, see what came last and what needs a hand."""
    user = _user(request)
    latest = selectors.latest_studies(user, limit=HOME_STUDIES)
    attention = selectors.studies_needing_attention(user, limit=ATTENTION_STUDIES)
    services.note_list_view(actor=user, page="home", cards=len(latest) + len(attention))
    return render(request, "record/home.html", {"latest": latest, "attention": attention})


@requires(Permission.VIEW_PATIENTS)
@require_safe
def case_record(request: HttpRequest, patient_id: UUID) -> HttpResponse:
    """A patient's page: demographics, and every study newest first."""
    user = _user(request)
    patient = services.open_case_record(actor=user, patient_id=patient_id)
    page = selectors.patient_timeline(
        user, patient, before=request.GET.get("before", ""), after=request.GET.get("after", "")
    )
    newest = timeline.newest_of(user, patient)
    context = {
        "patient": patient,
        "rights": selectors.rights_at(user, patient.site_id),
        "page": page,
        "entries": timeline.entries_for(user, page.cards),
        "newest": newest[0].study.pk if newest else None,
        "before_newest": newest[1].study.pk if len(newest) > 1 else None,
        "trend": trend.trend_of(newest),
        "hold": active_hold(patient),
        **_neighbours(page, {}),
    }
    return render(request, "record/case_record.html", context)


@requires(Permission.VIEW_STUDIES)
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """All studies of the site, newest first."""
    user = _user(request)
    form = HistoryFilterForm(request.GET or None)
    chosen = {name: request.GET[name] for name in form.fields if request.GET.get(name, "").strip()}
    if form.is_bound and not form.is_valid():
        page = StudyPage(cards=[])
    else:
        wanted = form.wanted() if form.is_bound else selectors.HistoryFilter()
        page = selectors.study_history(
            user,
            wanted,
            before=request.GET.get("before", ""),
            after=request.GET.get("after", ""),
        )
    services.note_list_view(actor=user, page="history", cards=len(page.cards))
    context = {"form": form, "page": page, "is_filtered": bool(chosen), **_neighbours(page, chosen)}
    return render(request, "record/history.html", context)


@requires(Permission.VIEW_STUDIES)
@require_safe
def study(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """What the model sees in each image of a study."""
    user = _user(request)
    card = services.open_study(actor=user, study_id=study_id)
    context = {"card": card, "rights": selectors.rights_at(user, card.study.site_id)}
    return render(request, "record/study.html", context)


@requires(Permission.VIEW_STUDIES)
@require_safe
def study_state(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """News of a study for a page that shows it: nothing (204) until something has changed.

    ``seen`` is the state the page shows, ``view`` how it shows the study. The answer to a
    finished study no longer asks for more, and so the asking ends by itself.
    """
    user = _user(request)
    card = services.peek_at_study(actor=user, study_id=study_id)
    seen = request.GET.get("seen", "")
    view = request.GET.get("view", "page")
    if card.state == seen and card.is_open:
        return HttpResponse(status=204)
    changed, added = card.news_since(seen)
    context = {
        "card": card,
        "changed": changed,
        "added": added,
        "rights": selectors.rights_at(user, card.study.site_id),
        "show_patient": request.GET.get("patient") == "1",
        "in_swap": True,
    }
    template = view if view in STATE_VIEWS else "page"
    return render(request, f"record/state_{template}.html", context)


@requires(Permission.VIEW_STUDIES)
@require_GET
def heatmap(request: HttpRequest, image_id: UUID) -> HttpResponseBase:
    """What in the picture speaks for the class, as an overlay."""
    return services.open_heatmap(actor=_user(request), image_id=image_id)


@requires(Permission.VIEW_STUDIES)
@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """Which models have answered at the person's sites, and which one answers now."""
    user = _user(request)
    context = {
        "rows": model_cards.model_list(user),
        "may_manage": memberships_with(user, Permission.MANAGE_MODELS).exists(),
    }
    return render(request, "record/models.html", context)


@requires(Permission.VIEW_STUDIES)
@require_safe
def model(request: HttpRequest, model_id: UUID) -> HttpResponse:
    """The card of one model version: what it is for, what it learnt from, how well it does."""
    page = model_cards.model_page(_user(request), model_id)
    return render(request, "record/model.html", {"page": page})


def _neighbours(page: StudyPage, chosen: dict[str, str]) -> dict[str, str]:
    """Addresses of the newer and the older page, the filter kept."""
    return {
        name: "?" + urlencode({**chosen, parameter: mark}) if mark else ""
        for name, parameter, mark in (
            ("newer_url", "after", page.newer),
            ("older_url", "before", page.older),
        )
    }
