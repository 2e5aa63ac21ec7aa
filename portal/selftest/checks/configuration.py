"""The settings of the installed portal, by the rules of ``manage.py check``."""

from __future__ import annotations

from django.conf import settings
from django.core import checks as django_checks

from portal.selftest.registry import Bench, Outcome, failed, passed, self_check


def is_server() -> bool:
    """Whether this is the shape that others reach, and not the one for one machine."""
    return bool(settings.SECURE_SSL_REDIRECT)


@self_check(
    "settings",
    "Settings are safe",
    asvs=("V13.1", "V13.4", "V3.3"),
    hipaa=("164.312(a)(1)",),
)
def settings_are_safe(bench: Bench) -> Outcome:
    found = django_checks.run_checks(include_deployment_checks=is_server())
    bad = [message for message in found if message.level >= django_checks.WARNING]
    if bad:
        said = "; ".join(f"{one.id}: {one.msg}" for one in bad[:5])
        return failed(f"{len(bad)} settings are unsafe. {said}", found=len(bad))
    rules = "with those for a server" if is_server() else "for one machine"
    return passed(f"manage.py check, {rules}, has nothing to say.", found=0)


@self_check(
    "automatic-logoff",
    "People are signed out when they are idle, and after a shift",
    asvs=("V7.3",),
    hipaa=("164.312(a)(2)(iii)",),
)
def sessions_end(bench: Bench) -> Outcome:
    idle, hard = settings.SESSION_COOKIE_AGE // 60, settings.SESSION_HARD_AGE_S / 3600
    said = f"Signed out after {idle} minutes without a word, and {hard:g} hours after signing in."
    if idle > 60 or hard > 24:
        return failed(f"{said} Not more than 60 minutes and 24 hours are usual.")
    return passed(said, idle_minutes=idle, hard_hours=hard)
