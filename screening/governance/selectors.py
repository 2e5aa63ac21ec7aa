"""Reading what was chosen for a site's models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.formats import number_format

from screening.accounts.models import Site, User
from screening.governance.choices import calibration_hash, curve_of
from screening.governance.models import SiteOperatingPoint
from screening.inference import activations
from screening.inference.packages import Package

if TYPE_CHECKING:
    from ml.operating import OperatingPoint


@dataclass(frozen=True, slots=True)
class PointInForce:
    """From where on COVID-19 is called at a site for one model, and since whose decision.

    ``row`` is the latest decision, None where nobody ever chose. ``is_stale`` says that it was made
    for another calibration of the model, beside which it is not used.
    """

    point: OperatingPoint
    row: SiteOperatingPoint | None
    is_stale: bool = False

    @property
    def is_sites(self) -> bool:
        """Whether the site's own choice holds, rather than the model's point."""
        return self.row is not None and self.row.threshold is not None and not self.is_stale


def active_package(site: Site) -> Package:
    """The model that answers at the site."""
    return activations.answering_at(site.pk).package


def point_in_force(site: Site, package: Package) -> PointInForce:
    """What the next answer of ``package`` at ``site`` is held against."""
    curve = curve_of(package)
    row = _rows_of(site, package).order_by("-number").first()
    if row is None or row.threshold is None:
        return PointInForce(curve.choose(), row)
    if row.calibration_sha256 != calibration_hash(package.manifest):
        return PointInForce(curve.choose(), row, is_stale=True)
    return PointInForce(curve.at(row.threshold), row)


def points_chosen(user: User | AnonymousUser, site: Site) -> list[SiteOperatingPoint]:
    """Every choice of the site, for all models, the newest first."""
    rows = SiteOperatingPoint.objects.visible_to(user).filter(site=site)
    return list(rows.select_related("chosen_by", "model_version").order_by("-number"))


def in_percent(threshold: float) -> str:
    """A threshold as pages write it, exact enough to tell two apart."""
    percent = float(f"{threshold * 100:.4g}")
    return f"{number_format(int(percent) if percent.is_integer() else percent)}%"


def _rows_of(site: Site, package: Package) -> models.QuerySet[SiteOperatingPoint]:
    return SiteOperatingPoint.objects.filter(
        site=site,
        model_version__name=package.name,
        model_version__version=package.version,
        model_version__weights_sha256=package.weights_sha256,
    ).select_related("chosen_by")
