"""The pages on which patients and results are read."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.reading import model_cards, selectors, services
from screening.reading.forms import HistoryFilterForm
from screening.reading.selectors import StudyPage

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
    return render(request, "reading/home.html", {"latest": latest, "attention": attention})


@requires(Permission.VIEW_PATIENTS)
@require_safe
def case_record(request: HttpRequest, patient_id: UUID) -> HttpResponse:
    """A patient's page: demographics, and every study newest first."""
    user = _user(request)
    patient = services.open_case_record(actor=user, patient_id=patient_id)
    page = selectors.patient_timeline(
        user, patient, before=request.GET.get("before", ""), after=request.GET.get("after", "")
    )
    context = {
        "patient": patient,
        "rights": selectors.rights_at(user, patient.site_id),
        "page": page,
        **_neighbours(page, {}),
    }
    return render(request, "reading/case_record.html", context)


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
    return render(request, "reading/history.html", context)


@requires(Permission.VIEW_STUDIES)
@require_safe
def study(request: HttpRequest, study_id: UUID) -> HttpResponse:
    """What the model sees in each image of a study."""
    user = _user(request)
    card = services.open_study(actor=user, study_id=study_id)
    context = {"card": card, "rights": selectors.rights_at(user, card.study.site_id)}
    return render(request, "reading/study.html", context)


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
    return render(request, f"reading/state_{template}.html", context)


@requires(Permission.VIEW_STUDIES)
@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """Which models have answered at the person's sites, and which one answers now."""
    return render(request, "reading/models.html", {"rows": model_cards.model_list(_user(request))})


@requires(Permission.VIEW_STUDIES)
@require_safe
def model(request: HttpRequest, model_id: UUID) -> HttpResponse:
    """The card of one model version: what it is for, what it learnt from, how well it does."""
    page = model_cards.model_page(_user(request), model_id)
    return render(request, "reading/model.html", {"page": page})


def _neighbours(page: StudyPage, chosen: dict[str, str]) -> dict[str, str]:
    """Addresses of the newer and the older page, the filter kept."""
    return {
        name: "?" + urlencode({**chosen, parameter: mark}) if mark else ""
        for name, parameter, mark in (
            ("newer_url", "after", page.newer),
            ("older_url", "before", page.older),
        )
    }
