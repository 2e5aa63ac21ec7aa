"""Every address of the installed portal, asked by people who must and who must not get in.

What is expected is said here a second time, apart from the views: which addresses are public, and
what follows from role and site. The exact table, address by address, is in the product's tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from django.urls import get_resolver

from portal.selftest.registry import Bench, Outcome, failed, passed, self_check
from portal.selftest.routes import Route, address, routes
from portal.selftest.world import NAMES, World
from screening.accounts.models import Role
from screening.accounts.policies import ROLE_PERMISSIONS, Permission

# Open to everybody. Whatever else is open is a leak.
PUBLIC = {
    "healthz",
    "readyz",
    "robots.txt",
    ".well-known/security.txt",
    "sign-on/",
    "sign-on/callback/",
    "login/",
    "login/second-factor/",
    "invitation/<str:token>/",
    "verify/",
    "verify/<str:code>/",
    "reset/<str:uidb64>/<str:token>/",
    "api/v1/auth/token/",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@self_check(
    "permissions",
    "Nobody gets what is not theirs: every address × every kind of person",
    asvs=("V8.1", "V8.2", "V8.3", "V4.1"),
    hipaa=("164.312(a)(1)", "164.312(d)"),
    needs_scratch=True,
)
def addresses_are_guarded(bench: Bench) -> Outcome:
    world, found = bench.scratch, list(routes(get_resolver().url_patterns))
    wrong, asked = [], 0
    for complaint in _all(world, found):
        asked += 1
        if complaint:
            wrong.append(complaint)
    figures = {"addresses": len(found), "requests": asked, "wrong": len(wrong)}
    if wrong:
        return failed(
            f"{len(wrong)} of {asked} answers are wrong. {'; '.join(wrong[:4])}", **figures
        )
    return passed(
        f"{len(found)} addresses, {asked} requests by strangers, former members, people of another "
        "site, clinicians and administrators: all as they should be.",
        **figures,
    )


def _all(world: World, found: list[Route]) -> Iterator[str]:
    """An empty string for each request that was answered as it should be, else what was wrong."""
    for route in found:
        if route.pattern in PUBLIC:
            continue
        where = _address(route, world)
        for method in METHODS:
            yield _closed_to_strangers(world, route, where, method)
        yield _closed_to_former_members(world, route, where)
        if route.places:
            for who in ("outside_clinician", "outside_admin"):
                for method in METHODS:
                    yield _hidden_from_outsiders(world, where, method, who)
        else:
            yield from _as_the_role_says(world, route, where)
    yield from _open_to_insiders(world)


def _address(route: Route, world: World) -> str:
    known = {name: "1" if name == "factor_id" else str(uuid4()) for name in route.places}
    return address(route.pattern, {**known, **world.objects})


def _closed_to_strangers(world: World, route: Route, where: str, method: str) -> str:
    answer = world.open_browser("anonymous").generic(method, where)
    if _is_sent_away(answer):
        return ""
    return f"{method} {where}: {answer.status_code} for somebody who has not signed in"


def _closed_to_former_members(world: World, route: Route, where: str) -> str:
    answer = world.browser("deactivated").get(where)
    if _is_sent_away(answer):
        return ""
    return f"{where}: {answer.status_code} for somebody whose membership was ended"


def _hidden_from_outsiders(world: World, where: str, method: str, who: str) -> str:
    answer = world.open_browser(who).generic(method, where)
    body = _body(answer)
    if any(name in body for name in NAMES):
        return f"{method} {where}: shows the patient of another site"
    options = {404, 405, 403}
    if answer.status_code in options or _is_sent_away(answer):
        return ""
    return f"{method} {where}: {answer.status_code} for {who.replace('_', ' ')} of another site"


def _as_the_role_says(world: World, route: Route, where: str) -> Iterator[str]:
    """Pages that name nothing: 403 for a role without the permission that the page asks."""
    asked = [mark for mark in route.marks if isinstance(mark, Permission)]
    for who, role in (("clinician", Role.CLINICIAN), ("admin", Role.ADMIN)):
        answer = world.open_browser(who).get(where)
        if answer.status_code >= 500:
            yield f"{where}: {answer.status_code} for {who}"
        elif any(mark not in ROLE_PERMISSIONS[role] for mark in asked):
            yield "" if answer.status_code == 403 else f"{where}: {answer.status_code} for {who}"
        else:
            good = answer.status_code != 403 and not _is_sent_away(answer)
            yield "" if good else f"{where}: {answer.status_code} for {who}, who may"


def _open_to_insiders(world: World) -> Iterator[str]:
    """A gate that is shut for everybody guards nothing: who works there gets in."""
    for pattern in (
        "/patients/{patient_id}/",
        "/studies/{study_id}/",
        "/images/{image_id}/display/",
    ):
        where = pattern.format(**world.objects)
        for who in ("clinician", "admin"):
            answer = world.open_browser(who).get(where)
            yield "" if answer.status_code == 200 else f"{where}: {answer.status_code} for {who}"


def _is_sent_away(answer: Any) -> bool:
    """To the sign-in page, or with 401."""
    if answer.status_code in (301, 302, 303):
        return "/login/" in answer["Location"]
    return bool(answer.status_code == 401)


def _body(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else bytes(answer.content)
