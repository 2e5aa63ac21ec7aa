"""The page on which administrators see whether backups come, and how data lies on the disk."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from screening.accounts.access import requires
from screening.accounts.policies import Permission
from screening.backup import selectors


@requires(Permission.MANAGE_SITE)
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Backups, keys of stored files and disks: of the whole installation, nothing of a patient."""
    context = {
        "standing": selectors.standing(),
        "runs": selectors.latest_runs(),
        "at_rest": selectors.at_rest(),
    }
    return render(request, "backup/overview.html", context)
