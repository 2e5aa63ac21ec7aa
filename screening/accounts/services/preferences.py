"""How a person sees the portal, and in which time zone a site lives."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from screening.accounts.models import Role, Site, User
from screening.accounts.policies import Permission, require
from screening.accounts.preferences import check_zone
from screening.audit.services import record
from screening.core.errors import InvalidInput


@transaction.atomic
def set_preferences(*, user: User, language: str, time_zone: str) -> User:
    """Set one's own language and time zone; empty follows the browser and the site.

    Raises ``InvalidInput`` for what is not offered.
    """
    if language and language not in dict(settings.LANGUAGES):
        raise InvalidInput(_("Choose one of the languages that are offered."), field="language")
    if time_zone:
        _check(time_zone)
    if (user.language, user.time_zone) != (language, time_zone):
        user.language, user.time_zone = language, time_zone
        user.save(update_fields=("language", "time_zone", "updated_at"))
        record(
            "user.set_preferences",
            user,
            actor=user,
            detail={"language": language, "time_zone": time_zone},
        )
    return user


@transaction.atomic
def set_site_time_zone(*, actor: User, site: Site, time_zone: str) -> Site:
    """Set the time zone of a site; empty follows the deployment. Raises ``InvalidInput``."""
    current = Site.objects.select_for_update().get(pk=site.pk)
    require(actor, Permission.MANAGE_SITE, current.pk)
    if time_zone:
        _check(time_zone)
    if current.time_zone != time_zone:
        before, current.time_zone = current.time_zone, time_zone
        current.save(update_fields=("time_zone", "updated_at"))
        record(
            "site.set_time_zone",
            current,
            site_id=current.pk,
            actor=actor,
            detail={"from": before, "to": time_zone},
        )
    return current


@transaction.atomic
def set_second_factor_roles(*, actor: User, site: Site, roles: list[str]) -> Site:
    """Say in which roles members of a site need a second factor. Raises ``InvalidInput``."""
    current = Site.objects.select_for_update().get(pk=site.pk)
    require(actor, Permission.MANAGE_SITE, current.pk)
    if not set(roles) <= {value for value, _label in Role.of_people()}:
        raise InvalidInput(_("Choose from the roles that are offered."), field="roles")
    wanted = sorted(set(roles))
    if current.second_factor_roles != wanted:
        before, current.second_factor_roles = current.second_factor_roles, wanted
        current.save(update_fields=("second_factor_roles", "updated_at"))
        record(
            "site.set_second_factor_roles",
            current,
            site_id=current.pk,
            actor=actor,
            detail={"from": before, "to": wanted},
        )
    return current


def _check(time_zone: str) -> None:
    try:
        check_zone(time_zone)
    except ValidationError as error:
        raise InvalidInput(str(error.messages[0]), field="time_zone") from None
