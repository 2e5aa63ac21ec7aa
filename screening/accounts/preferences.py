"""In which language and time zone a person sees the portal.

A person's own choice comes first; then the site's time zone and the browser's language; then the
deployment's. The API is not touched: it speaks English and gives moments with their offset.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site, User

# Regions of the time zone database that name places; the rest are old names of the same zones.
REGIONS = frozenset(
    {
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Europe",
        "Indian",
        "Pacific",
    }
)


@lru_cache(maxsize=1)
def known_zones() -> tuple[str, ...]:
    """Every time zone that can be chosen, ``UTC`` first, then by name."""
    places = {name for name in zoneinfo.available_timezones() if name.split("/")[0] in REGIONS}
    return ("UTC", *sorted(places))


def check_zone(name: str) -> str:
    """``name``, or ``ValidationError`` where no such zone can be chosen."""
    if name not in known_zones() and name != settings.TIME_ZONE:
        raise ValidationError(_("Choose one of the time zones that are offered."))
    return name


def zone_named(*names: str) -> zoneinfo.ZoneInfo:
    """The first of ``names`` that this machine knows, else the deployment's zone.

    A name stored once may be gone after an update of the time zone database.
    """
    for name in names:
        if name:
            try:
                return zoneinfo.ZoneInfo(name)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError):
                continue
    return zoneinfo.ZoneInfo(settings.TIME_ZONE)


def zone_of_site(site: Site) -> zoneinfo.ZoneInfo:
    """The zone in which a site's days begin and end."""
    return zone_named(site.time_zone)


@contextmanager
def as_seen_by(user: User) -> Iterator[None]:
    """Text in the language that ``user`` chose, for letters made outside a request."""
    with translation.override(user.language or settings.LANGUAGE_CODE):
        yield
