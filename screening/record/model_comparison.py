"""The page that holds a candidate in shadow against the version that answers.

It stands here, above the readings, because it names studies by what the AI says of them: one that
its reader must first read blind is counted, and not named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission, home_site
from screening.audit.services import record
from screening.governance.comparison import Comparison, latest_comparison
from screening.inference.activations import answering_at
from screening.inference.packages import installed
from screening.reading.selectors import answers_hidden
from screening.studies.models import Study

MOST_NAMED = 50


@dataclass(frozen=True)
class NamedStudies:
    """Studies whose flag changes one way: how many, which may be named, and which may not."""

    total: int
    shown: list[Study]
    more: int
    hidden: int


@requires(Permission.MANAGE_MODELS)
@require_safe
def model_comparison(request: HttpRequest) -> HttpResponse:
    """What the candidate of the run that is on, or of the last one, makes of the own studies."""
    user = cast(User, request.user)
    site = home_site(user, Permission.MANAGE_MODELS)
    found = latest_comparison(site)
    context: dict[str, Any] = {"site": site, "found": found}
    if found is not None:
        record(
            "shadow.compare",
            site_id=site.pk,
            actor=user,
            detail={"candidate": str(found.candidate), "images": len(found.pairs)},
        )
        answers_now = answering_at(site.pk).package.fingerprint == found.fingerprint
        usable = {package.fingerprint for package in installed() if package.usable}
        context["may_promote"] = found.fingerprint in usable and not answers_now
        context |= _shown(user, found)
    return render(request, "record/model_comparison.html", context)


def _shown(user: User, found: Comparison) -> dict[str, Any]:
    """What the template needs beside the comparison itself."""
    return {
        "failures": found.failures.most_common(),
        "side_by_side": [
            (_("Flagged studies"), found.flags),
            (_("Uncertain answers"), found.uncertain),
            (_("Unreliable answers"), found.unreliable),
        ],
        "changed": [
            (_("Flagged by the candidate only"), _named(user, found.newly_flagged)),
            (_("Flagged by the active version only"), _named(user, found.no_longer_flagged)),
        ],
        "accuracies": list(
            zip((found.active, found.candidate), found.accuracy or (), strict=False)
        ),
    }


def _named(user: User, study_ids: list[UUID]) -> NamedStudies:
    studies = list(Study.objects.visible_to(user).filter(pk__in=study_ids))
    hidden = answers_hidden(user, studies)
    open_ones = [study for study in studies if study.pk not in hidden]
    return NamedStudies(
        total=len(study_ids),
        shown=open_ones[:MOST_NAMED],
        more=max(len(open_ones) - MOST_NAMED, 0),
        hidden=len(hidden),
    )
