"""Pages: asking for a de-identified export, watching it, and taking it away."""

from __future__ import annotations

import io
from typing import cast
from uuid import UUID

import numpy as np
from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    require_POST,
    require_safe,
)
from PIL import Image as Picture

from screening.accounts import policies
from screening.accounts.access import requires
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import InvalidInput
from screening.core.spreadsheets import csv_response
from screening.record.forms import HistoryFilterForm
from screening.record.selectors import HistoryFilter, study_history
from screening.sharing import selectors, services
from screening.sharing.blackout import MOST_BORDER, Box, blacken, border
from screening.sharing.forms import ExportForm, read_boxes
from screening.sharing.models import Export
from screening.studies import storage
from screening.studies.models import Image
from screening.studies.selectors import get_image
from screening.studies.serving import serve_file
from screening.worklist import selectors as worklist
from screening.worklist.forms import FilterForm

MAY = Permission.EXPORT_DEIDENTIFIED
MOST_DRAWN = 12
"""With more pictures than this only the common border can be set."""
LIST_HEADING = ("pseudonym", "mrn", "study", "study uid in the export", "days moved")


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


@requires(MAY)
@require_safe
def exports(request: HttpRequest) -> HttpResponse:
    """What was exported, newest first."""
    return render(request, "sharing/list.html", {"exports": selectors.exports_of(request.user)})


@requires(MAY)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Choose among studies, say how to de-identify them, and ask for the file."""
    user = _user(request)
    keys = _asked_for(request)
    chosen = selectors.select_studies(user, keys)
    images = list(Image.objects.visible_to(user).filter(study__in=chosen.studies))
    drawable = images if len(images) <= MOST_DRAWN else []
    may_keep_list = policies.may(user, Permission.REIDENTIFY, chosen.site_id)
    form = ExportForm(request.POST or None, may_keep_list=may_keep_list)
    if request.method == "POST" and form.is_valid():
        try:
            export = services.request_export(
                actor=user,
                keys=keys,
                options=form.options([image.pk for image in drawable]),
            )
        except InvalidInput as error:
            form.add_error(error.field, error.message)
        else:
            return redirect("sharing:export", export.pk)
    else:
        record("study.list", actor=user, detail={"page": "export", "shown": len(chosen.studies)})
    context = {"form": form, "chosen": chosen, "drawable": drawable, "most_drawn": MOST_DRAWN}
    return render(request, "sharing/new.html", context)


@requires(MAY)
@require_safe
def export(request: HttpRequest, export_id: UUID) -> HttpResponse:
    """How far an export has come, what to look at, and the file."""
    return render(request, "sharing/export.html", _about(request, export_id))


@requires(MAY)
@require_safe
def state(request: HttpRequest, export_id: UUID) -> HttpResponse:
    """The changing part of that page, which asks for it while it waits."""
    return render(request, "sharing/parts/state.html", _about(request, export_id))


@requires(MAY, asked_later=True)
@require_POST
def looked(request: HttpRequest, export_id: UUID) -> HttpResponse:
    """Say that one has looked at the pictures that may carry words."""
    found = selectors.get_export(request.user, export_id)
    services.look_over(actor=_user(request), export=found)
    return redirect("sharing:export", found.pk)


@requires(MAY, asked_later=True)
@require_POST
def remove(request: HttpRequest, export_id: UUID) -> HttpResponse:
    """Remove the file before its time."""
    found = selectors.get_export(request.user, export_id)
    services.remove_export(actor=_user(request), export=found)
    messages.success(request, _("The file is removed."))
    return redirect("sharing:export", found.pk)


@requires(MAY, asked_later=True)
@require_GET
def download(request: HttpRequest, export_id: UUID) -> FileResponse:
    """The ZIP file, streamed from storage."""
    found = selectors.get_export(request.user, export_id)
    services.open_download(actor=_user(request), export=found)
    return serve_file(
        found.file,
        content_type="application/zip",
        file_name=f"deidentified-{found.pk}.zip",
        attachment=True,
    )


@requires(Permission.REIDENTIFY, asked_later=True)
@require_GET
def who_is_who(request: HttpRequest, export_id: UUID) -> HttpResponseBase:
    """The list by which patients can be found again, where one was wanted."""
    found = selectors.get_export(request.user, export_id)
    rows = services.open_list(actor=_user(request), export=found)
    return csv_response(f"who-is-who-{found.pk}.csv", LIST_HEADING, rows)


@requires(MAY)
@require_GET
def preview(request: HttpRequest, image_id: UUID) -> HttpResponse:
    """A picture as it would look with parts of it blackened."""
    image = get_image(request.user, image_id)
    policies.require(_user(request), MAY, image.study.site_id)
    boxes = [Box(*sides) for sides in read_boxes(request.GET.get("box", ""))]
    try:
        wide = min(max(float(request.GET.get("border") or 0), 0), MOST_BORDER)
    except ValueError:
        wide = 0
    try:
        with Picture.open(io.BytesIO(storage.read(image.display))) as opened:
            opened.thumbnail((1024, 1024))
            grey = np.array(opened.convert("L"))
    except FileNotFoundError:
        raise Http404 from None
    blacken(grey, (*border(wide if wide == wide else 0), *boxes), 0)
    target = io.BytesIO()
    Picture.fromarray(grey).save(target, "JPEG", quality=88)
    record("image.view", image, detail={"rendition": "export preview"})
    return HttpResponse(
        target.getvalue(),
        content_type="image/jpeg",
        headers={"Cache-Control": "no-store, private", "X-Content-Type-Options": "nosniff"},
    )


def _asked_for(request: HttpRequest) -> list[UUID]:
    """The keys of the studies that a page names, or that its filter finds."""
    asked = request.POST if request.method == "POST" else request.GET
    named = asked.getlist("study")
    if named or request.method == "POST":
        try:
            return [UUID(one) for one in dict.fromkeys(named)]
        except ValueError:
            raise Http404 from None
    user = _user(request)
    if asked.get("from") == "worklist":
        listed = FilterForm(request.GET)
        page = worklist.worklist_of(user, listed.wanted()).page(size=selectors.MOST_STUDIES + 1)
        return [entry.pk for entry in page.entries]
    form = HistoryFilterForm(request.GET or None)
    if form.is_bound and not form.is_valid():
        raise InvalidInput(_("The filter is not valid."))
    wanted = form.wanted() if form.is_bound else HistoryFilter()
    keys: list[UUID] = []
    mark = ""
    while len(keys) <= selectors.MOST_STUDIES:
        found = study_history(user, wanted, before=mark)
        keys += [card.study.pk for card in found.cards]
        mark = found.older
        if not mark:
            break
    return keys


def _about(request: HttpRequest, export_id: UUID) -> dict[str, object]:
    user = _user(request)
    found: Export = selectors.get_export(user, export_id)
    pictured = {str(image.pk): image for image in _pictures(user, found)}
    findings = [{**one, "picture": pictured.get(one["image"])} for one in found.findings]
    return {
        "export": found,
        "findings": findings,
        "studies": found.studies.count(),
        "may_reidentify": policies.may(user, Permission.REIDENTIFY, found.site_id)
        and found.options.get("keep_list"),
    }


def _pictures(user: User, found: Export) -> list[Image]:
    keys = [one["image"] for one in found.findings]
    return list(Image.objects.visible_to(user).filter(pk__in=keys))
