"""Which model version answers at a site: decided by its admins, kept for ever, read by workers.

Activation belongs to a site, as its admins do: nobody changes what another site's clinicians see.
The newest row of a site holds. A site without one is answered by the installation's default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import Site, User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.inference import packages
from screening.inference.models import Activation, ModelVersion, ShadowRun
from screening.inference.packages import Exact, Package

REASON_LEAST = 10
REASON_MOST = 1000


# --- Reading -----------------------------------------------------------------------------------


def wanted_at(site_id: UUID) -> Exact | None:
    """The package that must answer at the site; None for the default. One small query."""
    row = (
        Activation.objects.filter(site=site_id)
        .order_by("-number")
        .values_list("model_version__name", "model_version__version", "fingerprint")
        .first()
    )
    return Exact(*row) if row is not None else None


def wanted_by_site() -> dict[UUID, Exact | None]:
    """The same for every site."""
    newest = Activation.objects.filter(site=OuterRef("site")).order_by("-number").values("pk")[:1]
    rows = Activation.objects.filter(pk=Subquery(newest)).values_list(
        "site", "model_version__name", "model_version__version", "fingerprint"
    )
    chosen = {site_id: Exact(*names) for site_id, *names in rows}
    return {pk: chosen.get(pk) for pk in Site.objects.values_list("pk", flat=True)}


def in_use() -> list[Exact | None]:
    """Every package that must answer somewhere; None stands for the default.

    The default is among them where a site has chosen nothing, or where there is no site yet.
    """
    wanted = wanted_by_site().values()
    return list(dict.fromkeys(wanted)) or [None]


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers at a site. ``package`` says itself whether it is whole."""

    activation: Activation | None
    package: Package

    @property
    def mark(self) -> str:
        """Changes whenever something else answers; a form sends back the one it showed."""
        number = self.activation.number if self.activation is not None else 0
        return f"{number}.{self.package.fingerprint or self.package.code}"


def answering_at(site_id: UUID) -> Answering:
    """What answers at the site now, with a look at its files."""
    activation = (
        Activation.objects.filter(site=site_id)
        .select_related("model_version")
        .order_by("-number")
        .first()
    )
    if activation is None:
        return Answering(None, packages.default_package())
    return Answering(activation, packages.find(exact_of(activation)))


def exact_of(activation: Activation) -> Exact:
    version = activation.model_version
    return Exact(version.name, version.version, activation.fingerprint)


# --- Deciding ----------------------------------------------------------------------------------


def activate(
    *,
    actor: User,
    site: Site,
    package: Package,
    reason: str,
    reviewed: bool,
    seen: str,
    thresholds: dict[str, Any],
) -> Activation:
    """Let ``package`` answer at ``site`` from the next image on; images at work are not disturbed.

    ``seen`` is the ``Answering.mark`` that the admin was shown, ``thresholds`` what was shown of
    old and new operating points, ``reviewed`` that the admin says to have reviewed them.

    :raises Forbidden: the actor may not decide on models at this site.
    :raises InvalidInput: no reason, or thresholds not reviewed; ``field`` names it.
    :raises Conflict: ``model_broken``, ``already_answers``, ``changed_meanwhile``.
    """
    policies.require(actor, Permission.MANAGE_MODELS, site.pk)
    reason = _checked_reason(reason)
    if not reviewed:
        raise InvalidInput(
            _("Say that you have reviewed the thresholds; nothing was changed."),
            code="thresholds_not_reviewed",
            field="reviewed",
        )
    require_usable(package)
    with transaction.atomic():
        Site.objects.select_for_update().get(pk=site.pk)
        before = answering_at(site.pk)
        if before.mark != seen:
            raise Conflict(
                _(
                    "What answers at your site has changed in the meantime. "
                    "Look at the comparison again before you decide."
                ),
                code="changed_meanwhile",
            )
        if before.activation is not None and before.package.fingerprint == package.fingerprint:
            raise Conflict(
                _("%(model)s answers at your site already.") % {"model": package},
                code="already_answers",
            )
        activation = _add(actor, site, package, reason, thresholds, before)
        # A candidate that answers now has nothing left to be compared with.
        ShadowRun.objects.filter(site=site, ended_at=None, fingerprint=package.fingerprint).update(
            ended_at=timezone.now(), ended_by=actor
        )
        record(
            "model.activate",
            activation,
            actor=actor,
            detail={
                "kind": activation.kind,
                "from": str(before.package),
                "to": str(package),
                "fingerprint": package.fingerprint,
            },
        )
    return activation


def _add(
    actor: User,
    site: Site,
    package: Package,
    reason: str,
    thresholds: dict[str, Any],
    before: Answering,
) -> Activation:
    version = version_of(package)
    previous = version_of(before.package) if before.package.usable else None
    if before.activation is not None:
        previous = before.activation.model_version
    return Activation.objects.create(
        site=site,
        number=before.activation.number + 1 if before.activation is not None else 1,
        kind=_kind(site, version, package, before),
        model_version=version,
        fingerprint=package.fingerprint,
        previous=previous,
        previous_fingerprint=before.package.fingerprint,
        reason=reason,
        thresholds=thresholds,
        actor=actor,
    )


def kind_of(site: Site, package: Package, before: Answering) -> Activation.Kind:
    """What activating ``package`` now would be: a promotion, a way back, or keeping what is."""
    version = ModelVersion.objects.filter(
        name=package.name, version=package.version, weights_sha256=package.weights_sha256
    ).first()
    return _kind(site, version, package, before)


def _kind(
    site: Site, version: ModelVersion | None, package: Package, before: Answering
) -> Activation.Kind:
    if before.activation is None and before.package.fingerprint == package.fingerprint:
        return Activation.Kind.KEEP
    if version is None:
        return Activation.Kind.PROMOTE
    earlier = Activation.objects.filter(site=site)
    answered_before = (
        earlier.filter(model_version=version).exists() or earlier.filter(previous=version).exists()
    )
    return Activation.Kind.ROLL_BACK if answered_before else Activation.Kind.PROMOTE


def version_of(package: Package) -> ModelVersion:
    """The row of a usable package, made where there is none yet."""
    manifest = package.manifest or {}
    version, _created = ModelVersion.objects.get_or_create(
        name=package.name,
        version=package.version,
        weights_sha256=package.weights_sha256,
        defaults={
            "preprocessing_version": str(manifest.get("preprocessing_version", "")),
            "manifest": manifest,
        },
    )
    return version


def require_usable(package: Package) -> None:
    """:raises Conflict: ``model_broken``, when the package can't answer; the message says why."""
    if not package.usable:
        raise Conflict(
            _("%(model)s can't answer: %(why)s") % {"model": package, "why": package.message},
            code="model_broken",
        )


def _checked_reason(reason: str) -> str:
    reason = " ".join(reason.split())
    if len(reason) < REASON_LEAST:
        raise InvalidInput(
            _("Give a reason that others understand later, at least %(count)s characters.")
            % {"count": REASON_LEAST},
            field="reason",
        )
    if len(reason) > REASON_MOST:
        raise InvalidInput(
            _("Use at most %(count)s characters.") % {"count": REASON_MOST}, field="reason"
        )
    if "\x00" in reason:
        raise InvalidInput(
            _("The reason contains invisible characters; type it anew."), field="reason"
        )
    return reason
