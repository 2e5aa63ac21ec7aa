"""What an admin is shown before another version answers: old thresholds, new ones, and what each
would have flagged. A threshold belongs to one model; an old one on a new model is a known way to
do harm, so nothing is carried over and the review is kept with the decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from screening.accounts.models import Site
from screening.core.errors import Conflict
from screening.governance.comparison import Comparison, compare
from screening.governance.selectors import PointInForce, point_in_force
from screening.governance.shares import Share
from screening.inference import activations, shadow
from screening.inference.activations import Answering
from screening.inference.models import Activation
from screening.inference.packages import Package


@dataclass(frozen=True)
class Flagged:
    """What the studies compared in shadow would have been flagged under each, as shares."""

    old: Share
    new: Share
    new_at_old_threshold: Share | None


@dataclass(frozen=True)
class Review:
    """Both versions with the operating point that holds, or would hold, for each at the site."""

    site: Site
    answering: Answering
    package: Package
    kind: Activation.Kind
    old_point: PointInForce | None
    new_point: PointInForce | None
    comparison: Comparison | None
    is_reversed: bool = False
    """The comparison is of the time when what answers now ran in shadow: the way back."""

    @property
    def flagged(self) -> Flagged | None:
        """None where the two have not yet answered the same studies."""
        found = self.comparison
        if found is None or not found.pairs or self.new_point is None:
            return None
        total = len(found.studies)
        back = self.is_reversed
        was = found.flagged_by_candidate if back else found.flagged_by_active

        def share_from(point: PointInForce) -> Share:
            return Share(len(found.flagged_from(point.point.threshold, by_active=back)), total)

        return Flagged(
            old=Share(len(was), total),
            new=share_from(self.new_point),
            new_at_old_threshold=share_from(self.old_point) if self.old_point else None,
        )

    @property
    def leaves_a_choice_behind(self) -> bool:
        """Whether the site has chosen an operating point that the new version does not get."""
        return self.old_point is not None and self.old_point.is_sites

    def to_json(self) -> dict[str, Any]:
        """What was shown, to be kept with the decision."""
        flagged = self.flagged
        told: dict[str, Any] = {"old": _told(self.old_point), "new": _told(self.new_point)}
        if flagged is not None:
            at_old = flagged.new_at_old_threshold
            told["shadow"] = {
                "studies": flagged.old.total,
                "flagged_by_old": flagged.old.hits,
                "flagged_by_new": flagged.new.hits,
                "flagged_by_new_at_old_threshold": at_old.hits if at_old else None,
            }
        return told


def review(site: Site, package: Package) -> Review:
    """Put together what must be looked at before ``package`` answers at ``site``."""
    answering = activations.answering_at(site.pk)
    found, is_reversed = _comparison(site, package, answering)
    return Review(
        site=site,
        answering=answering,
        package=package,
        kind=activations.kind_of(site, package, answering),
        old_point=_point(site, answering.package),
        new_point=_point(site, package),
        comparison=found,
        is_reversed=is_reversed,
    )


def _comparison(
    site: Site, package: Package, answering: Answering
) -> tuple[Comparison | None, bool]:
    """Of both on the same studies, whichever of the two was in shadow; and whether reversed."""
    known = {fingerprint: version for version, fingerprint in shadow.candidates_of(site.pk)}
    if version := known.get(package.fingerprint):
        found = compare(site, version, package.fingerprint)
        if found.pairs:
            return found, False
    activation = answering.activation
    if activation is not None and (version := known.get(activation.fingerprint)):
        found = compare(site, version, activation.fingerprint)
        ours = (package.name, package.version, package.weights_sha256)
        theirs = found.active
        if theirs and ours == (theirs.name, theirs.version, theirs.weights_sha256):
            return found, True
    return None, False


def _point(site: Site, package: Package) -> PointInForce | None:
    """None for a version without thresholds, and for a broken one."""
    if not package.usable:
        return None
    try:
        return point_in_force(site, package)
    except Conflict:
        return None


def _told(point: PointInForce | None) -> dict[str, Any] | None:
    if point is None:
        return None
    return {
        "threshold": point.point.threshold,
        "sensitivity": point.point.sensitivity,
        "specificity": point.point.specificity,
        "chosen_by": "site" if point.is_sites else "model",
    }
