"""Reading about erasures."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from screening.accounts.models import Site, User
from screening.accounts.policies import Permission, sites_where
from screening.patients.models import Erasure

LISTED = 50


def erasures_of(user: User, site: Site) -> list[Erasure]:
    """The newest erasures at a site of ``user``."""
    rows = _visible(user).filter(site_id=site.pk).select_related("certificate")
    return list(rows[:LISTED])


def get_erasure(user: User, erasure_id: UUID) -> Erasure:
    """An erasure at one of the sites where ``user`` may erase. Raises ``Http404``."""
    found = _visible(user).select_related("certificate").filter(pk=erasure_id).first()
    if found is None:
        raise Http404
    return found


def certificate_of(erasure: Erasure) -> dict[str, Any]:
    """What the portal certifies, as it is downloaded. Nothing of it names the patient."""
    certificate = getattr(erasure, "certificate", None)
    return {
        "erasure": str(erasure.pk),
        "patient": str(erasure.patient_id),
        "site": str(erasure.site_id),
        "kind": erasure.kind,
        "reason": erasure.reason,
        "asked_by": erasure.asked_by_name or "system",
        "erased_at": erasure.created_at.isoformat(),
        "rows": erasure.counts,
        "files": certificate.files if certificate is not None else None,
        "complete": certificate is not None,
        "completed_at": certificate.created_at.isoformat() if certificate is not None else None,
        "stays": [
            "events of the audit, which hold keys and no names",
            "figures of whole days, in which nobody can be found",
            "backups until they are deleted; a restore erases again",
        ],
    }


def _visible(user: User) -> QuerySet[Erasure]:
    sites = sites_where(user, Permission.ERASE_PATIENTS).values_list("pk", flat=True)
    return Erasure.objects.filter(site_id__in=list(sites))
