"""What the URLconf offers, and what it says about who may come in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver

from screening.accounts.policies import Permission

_PLACE = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """One address, as the URLconf spells it."""

    pattern: str
    callback: Any

    @property
    def places(self) -> list[str]:
        """The names of the objects in the address."""
        return _PLACE.findall(self.pattern)

    @property
    def is_api(self) -> bool:
        return self.pattern.startswith("api/")

    @property
    def marks(self) -> list[Any]:
        """What the view says about who may come in; the API says it in its classes."""
        view = getattr(self.callback, "cls", None)
        said = [self.callback] if view is None else view.permission_classes
        return [getattr(one, "access", None) for one in said]


def routes(patterns: Iterable[URLPattern | URLResolver], prefix: str = "") -> Iterator[Route]:
    """Every address below ``patterns``."""
    for entry in patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, path)
        else:
            yield Route(path, entry.callback)


def address(pattern: str, objects: dict[str, str]) -> str:
    """The pattern with the names replaced by ``objects``."""
    return "/" + _PLACE.sub(lambda place: objects[place[1]], pattern)


def unlisted(found: Iterable[Route], listed: Iterable[str]) -> set[str]:
    """Addresses that exist but that nobody has thought about."""
    return {route.pattern for route in found} - set(listed)


def gone(found: Iterable[Route], listed: Iterable[str]) -> set[str]:
    """Addresses that are listed but do not exist (any more)."""
    return set(listed) - {route.pattern for route in found}


def unmarked(found: Iterable[Route]) -> set[str]:
    """Addresses whose view does not say who may come in."""
    known = {"public", "signed_in", *Permission}
    return {r.pattern for r in found if not r.marks or not all(m in known for m in r.marks)}


def public(found: Iterable[Route]) -> set[str]:
    """Addresses open to everybody, by what their views say."""
    return {route.pattern for route in found if "public" in route.marks}
