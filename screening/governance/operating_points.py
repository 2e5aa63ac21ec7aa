"""Choosing from what probability on COVID-19 is called at a site, and telling whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.governance.choices import calibration_hash, curve_of, point_for
from screening.governance.models import Aim, SiteOperatingPoint
from screening.inference.activations import version_of
from screening.inference.models import ModelVersion
from screening.inference.packages import Package
from screening.inference.points import SitePoint

if TYPE_CHECKING:
    from screening.inference.engine import ModelIdentity

REASON_LENGTH = 2000


@transaction.atomic
def choose_operating_point(
    *,
    actor: User,
    site: Site,
    package: Package,
    aim: str,
    reason: str,
    target: float | None = None,
    threshold: float | None = None,
    seen: UUID | str | None = None,
) -> SiteOperatingPoint:
    """From now on, call COVID-19 at ``site`` at this point of this very model.

    Results that are there keep the point they were made with. ``seen`` is the key of the row that
    the form showed as holding, empty where there was none; None asks for no such check.

    :raises Forbidden: the actor may not choose operating points at the site.
    :raises InvalidInput: a value makes no sense; ``field`` names it.
    :raises Conflict: ``changed_meanwhile``; ``model_missing`` for a model without a curve.
    """
    policies.require(actor, Permission.SET_OPERATING_POINTS, site.pk)
    if aim not in Aim.values:
        raise InvalidInput(_("Choose one of the points that are offered."), field="choice")
    reason = _checked_reason(reason)
    point = point_for(curve_of(package), Aim(aim), target, threshold)
    Site.objects.select_for_update().get(pk=site.pk)
    version = version_of(package)
    before = in_force(site.pk, version)
    if seen is not None and str(seen) != (str(before.pk) if before is not None else ""):
        raise Conflict(
            _(
                "Somebody else has chosen an operating point in the meantime. "
                "Look at what is in force now, and choose again if it is still needed."
            ),
            code="changed_meanwhile",
        )
    last = SiteOperatingPoint.objects.filter(site=site).order_by("-number").first()
    chosen = SiteOperatingPoint.objects.create(
        site=site,
        number=last.number + 1 if last is not None else 1,
        model_version=version,
        calibration_sha256=calibration_hash(package.manifest),
        aim=aim,
        target=target if aim in (Aim.SENSITIVITY, Aim.SPECIFICITY) else None,
        threshold=None if aim == Aim.PACKAGE else point.threshold,
        expected=point.to_json(),
        reason=reason,
        chosen_by=actor,
    )
    detail = {"model": str(version), "aim": aim, "threshold": point.threshold}
    record("operating_point.choose", chosen, actor=actor, detail=detail)
    return chosen


def in_force(site_id: UUID, version: ModelVersion) -> SiteOperatingPoint | None:
    """What holds at a site for a model version; None where nobody ever chose."""
    rows = SiteOperatingPoint.objects.filter(site=site_id, model_version=version)
    return rows.select_related("chosen_by").order_by("-number").first()


def provide_point(site_id: UUID, model: ModelIdentity) -> SitePoint | None:
    """For ``inference.points``: the site's point of the model that is about to answer.

    None where the site keeps to the model's own, and beside a calibration for which the threshold
    was not chosen.
    """
    rows = SiteOperatingPoint.objects.filter(
        site=site_id,
        model_version__name=model.name,
        model_version__version=model.version,
        model_version__weights_sha256=model.weights_sha256,
    )
    row = rows.select_related("chosen_by").order_by("-number").first()
    if row is None or row.threshold is None:
        return None
    if row.calibration_sha256 != calibration_hash(model.manifest):
        return None
    origin = {
        "chosen": "site",
        "id": str(row.pk),
        "aim": row.aim,
        "target": row.target,
        "by": str(row.chosen_by),
        "at": row.chosen_at.isoformat(),
    }
    return SitePoint(row.threshold, origin)


def _checked_reason(reason: str) -> str:
    reason = reason.strip()
    if not reason:
        raise InvalidInput(_("Say why; colleagues will ask."), field="reason")
    if len(reason) > REASON_LENGTH or "\x00" in reason:
        raise InvalidInput(
            _("Use at most %(count)s characters.") % {"count": REASON_LENGTH}, field="reason"
        )
    return reason
