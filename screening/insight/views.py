"""The pages on which an administrator sees how the site does."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from screening.accounts.access import requires
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, home_site
from screening.accounts.preferences import zone_of_site
from screening.audit.services import record
from screening.core.errors import InvalidInput
from screening.insight import hub, selectors
from screening.insight.counting import overrides
from screening.insight.figure import Material
from screening.insight.figures import FIGURES
from screening.insight.periods import PeriodForm, Span, weeks_up_to
from screening.insight.rollup import today_at
from screening.studies.models import Study

QUICK_WEEKS = (4, 12, 52)


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)  # Every page here is closed to the anonymous.


@requires(Permission.MANAGE_SITE)
@require_safe
def site(request: HttpRequest) -> HttpResponse:
    """What can be looked after here, one sentence each."""
    user = _user(request)
    context = {"site": home_site(user, Permission.MANAGE_SITE), "groups": hub.doors(user)}
    return render(request, "insight/site.html", context)


@dataclass(frozen=True)
class Asked:
    """What somebody wants to see: the site, the span, and the span to hold it against.

    ``reference`` is empty only as long as the site has no counted day with a result.
    """

    site: Site
    form: PeriodForm
    span: Span
    reference: Span | None


def _asked(request: HttpRequest) -> Asked:
    user = _user(request)
    place = home_site(user, Permission.VIEW_INSIGHT)
    today = today_at(place)
    form = PeriodForm(request.GET or None, today=today)
    is_chosen = form.is_bound and form.is_valid()
    chosen = form.reference() if is_chosen else None
    reference = chosen or selectors.default_reference(user, place)
    return Asked(place, form, form.span() if is_chosen else form.span({}), reference)


@requires(Permission.VIEW_INSIGHT)
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """How the site does: what arrived, how long it took, and whether anything drifts."""
    user = _user(request)
    asked = _asked(request)
    material = selectors.material(user, asked.site, asked.span, asked.reference)
    figures = [make(material) for make in FIGURES.values()]
    record("dashboard.view", site_id=asked.site.pk, actor=user)
    oldest = Study.objects.filter(site=asked.site).order_by("created_at", "id").first()
    since = oldest and timezone.localdate(oldest.created_at, zone_of_site(asked.site))
    context = {
        "site": asked.site,
        "zone": zone_of_site(asked.site).key,
        "form": asked.form,
        "span": asked.span,
        "reference": asked.reference,
        "figures": figures,
        "alerts": material.alerts,
        "facts": _facts(material),
        "quick": _quick(asked.site),
        "query": urlencode([(k, v) for k, v in request.GET.items() if v and k != "figure"]),
        "not_counted": selectors.days_not_counted(user, asked.site, asked.span, since or None),
    }
    return render(request, "insight/dashboard.html", context)


@requires(Permission.VIEW_INSIGHT)
@require_safe
def figure_csv(request: HttpRequest) -> HttpResponse:
    """The numbers of one figure, as they are: dates and plain numbers, points for decimals."""
    key = request.GET.get("figure", "")
    make = FIGURES.get(key)
    if make is None:
        raise Http404
    user = _user(request)
    asked = _asked(request)
    if asked.form.is_bound and not asked.form.is_valid():
        complaints = next(iter(asked.form.errors.values()))
        raise InvalidInput(str(complaints[0]))
    figure = make(selectors.material(user, asked.site, asked.span, asked.reference))
    record("dashboard.export", site_id=asked.site.pk, actor=user, detail={"figure": key})
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"{key}-{asked.span.first}-{asked.span.last}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store, private"
    rows = csv.writer(response)
    rows.writerow([column.name for column in figure.columns])
    for row in figure.rows:
        rows.writerow(["" if value is None else value for value in row])
    return response


def _facts(material: Material) -> dict[str, object]:
    total = material.total
    over, of = overrides(total)
    ended = total.images or 1
    return {
        "studies": total.studies,
        "p50": total.wait_quantile(0.5),
        "p95": total.wait_quantile(0.95),
        "refused": total.statuses["refused"] / ended,
        "failed": total.statuses["failed"] / ended,
        "override_rate": over / of if of else None,
        "readings": of,
    }


def _quick(place: Site) -> list[tuple[int, str]]:
    """Addresses of spans that people often want: the number of weeks, and the query."""
    spans = [(weeks, weeks_up_to(today_at(place), weeks)) for weeks in QUICK_WEEKS]
    return [(n, urlencode({"first": span.first, "last": span.last})) for n, span in spans]
