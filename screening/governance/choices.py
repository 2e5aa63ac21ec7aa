"""Which operating points a site may choose for a model, and what each is worth.

The figures come from the package's own curve: what was measured on pictures like those the model
learned from. What a threshold is worth at the site itself is for local calibration to say.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from screening.core.errors import Conflict, InvalidInput
from screening.governance.models import Aim
from screening.inference import packages
from screening.inference.curves import covid_curve
from screening.inference.packages import Package

if TYPE_CHECKING:
    from ml.operating import OperatingPoint, RocTable

SENSITIVITIES = (0.95, 0.975, 0.99)
SPECIFICITIES = (0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Choice:
    """One point that may be chosen, by its ``key`` in a form."""

    key: str
    aim: Aim
    target: float | None
    point: OperatingPoint

    @property
    def name(self) -> str:
        """What it aims at, in words."""
        if self.target is None:
            return _("The model's own point")
        aimed = f"{self.target * 100:g}%"
        if self.aim == Aim.SENSITIVITY:
            return _("Sensitivity first: at least %(share)s") % {"share": aimed}
        return _("Specificity first: at least %(share)s") % {"share": aimed}


def usable_packages() -> list[Package]:
    """Installed models that have operating points at all."""
    return [package for package in packages.installed() if covid_curve(package) is not None]


def get_package(fingerprint: str) -> Package:
    """One of them. Raises ``Conflict`` for one that is not installed any more, or was changed."""
    for package in usable_packages():
        if package.fingerprint == fingerprint:
            return package
    raise Conflict(
        _("This model is not installed any more, or its files were changed. Load the page again."),
        code="model_missing",
    )


def curve_of(package: Package) -> RocTable:
    """The package's curve. Raises ``Conflict`` where it has none."""
    curve = covid_curve(package)
    if curve is None:
        raise Conflict(_("This model has no operating points."), code="model_missing")
    return curve


def choices_of(package: Package) -> list[Choice]:
    """What may be chosen by a click; aims that the curve does not reach are left out."""
    curve = curve_of(package)
    found = [Choice(Aim.PACKAGE.value, Aim.PACKAGE, None, curve.choose())]
    for aim, targets in ((Aim.SENSITIVITY, SENSITIVITIES), (Aim.SPECIFICITY, SPECIFICITIES)):
        for target in targets:
            try:
                point = point_for(curve, aim, target, None)
            except InvalidInput:
                continue
            found.append(Choice(f"{aim.value}-{target:g}", aim, target, point))
    return found


def point_for(
    curve: RocTable, aim: Aim, target: float | None, threshold: float | None
) -> OperatingPoint:
    """The point that an aim means on a curve.

    :raises InvalidInput: the aim lacks its number, or the curve does not reach it.
    """
    if aim == Aim.PACKAGE:
        return curve.choose()
    if aim == Aim.THRESHOLD:
        if threshold is None or not 0.0 < threshold < 1.0:
            raise InvalidInput(_("Enter a threshold between 0 and 100%."), field="threshold")
        return curve.at(threshold)
    if target is None or not 0.5 <= target < 1.0:
        raise InvalidInput(_("Choose one of the points that are offered."), field="choice")
    try:
        if aim == Aim.SENSITIVITY:
            return curve.choose(target)
        return curve.choose_specificity(target)
    except ValueError:
        raise InvalidInput(_("The model does not reach this aim."), field="choice") from None


def calibration_hash(manifest: dict[str, Any] | None) -> str:
    """What tells one calibration of a model's probabilities from another."""
    text = json.dumps((manifest or {}).get("calibration"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
