"""Whether what travels is encrypted: to browsers, to the database, to the broker."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.db import connections

from portal.selftest.checks.configuration import is_server
from portal.selftest.registry import Bench, Outcome, failed, not_applicable, passed, self_check

_LOCAL = ("", "localhost", "127.0.0.1", "::1")


@self_check(
    "https",
    "Browsers reach the portal by HTTPS only",
    asvs=("V12.1", "V12.2", "V3.4"),
    hipaa=("164.312(e)(1)", "164.312(e)(2)(ii)"),
)
def browsers_use_https(bench: Bench) -> Outcome:
    if not is_server():
        return not_applicable(
            "This shape is for one machine: it speaks plain HTTP to its own browser and must not "
            "be reached from elsewhere."
        )
    hsts = settings.SECURE_HSTS_SECONDS
    cookies = settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE
    if not hsts or not cookies:
        return failed("Plain HTTP is redirected, but HSTS or secure cookies are off.")
    return passed(
        "Plain HTTP is redirected; HSTS and secure cookies are on.", hsts_days=hsts // 86400
    )


@self_check(
    "backend-links",
    "The links to the database and the broker are private",
    asvs=("V12.3", "V13.2"),
    hipaa=("164.312(e)(1)",),
)
def links_are_private(bench: Bench) -> Outcome:
    """A socket or the own machine is private; across a network only TLS is."""
    open_links = []
    database = connections["default"].settings_dict
    host = str(database.get("HOST") or "")
    remote = "postgresql" in database["ENGINE"] and host not in _LOCAL and not host.startswith("/")
    if remote and database["OPTIONS"].get("sslmode") not in ("require", "verify-ca", "verify-full"):
        open_links.append("database")
    broker = urlsplit(settings.REDIS_URL)
    if broker.scheme == "redis" and (broker.hostname or "") not in _LOCAL:
        open_links.append("broker")
    if open_links:
        named = " and ".join(open_links)
        return not_applicable(
            f"The link to the {named} is not encrypted. That is in order inside one machine's own "
            "container network, and not across any other."
        )
    return passed("Database and broker are on this machine, or reached by TLS.")
