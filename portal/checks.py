"""Rules of `manage.py check`: settings that would make the portal unsafe or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from screening.core import keyring


@register(Tags.compatibility)
def check_time_limits(*, app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """The limits of a job must grow in this order, or work is done twice."""
    limits = [
        ("INFERENCE_SOFT_LIMIT_S", settings.INFERENCE_SOFT_LIMIT_S),
        ("INFERENCE_HARD_LIMIT_S", settings.INFERENCE_HARD_LIMIT_S),
        ("INFERENCE_LEASE_S", settings.INFERENCE_LEASE_S),
        ("BROKER_VISIBILITY_TIMEOUT_S", settings.BROKER_VISIBILITY_TIMEOUT_S),
    ]
    return [
        Error(
            f"{low_name} ({low:g} s) must be smaller than {high_name} ({high:g} s).",
            hint="Otherwise a job that still runs is taken for dead and done a second time.",
            id="portal.E001",
        )
        for (low_name, low), (high_name, high) in pairwise(limits)
        if not low < high
    ]


@register(Tags.compatibility)
def check_celery_follows(
    *, app_configs: Sequence[AppConfig] | None, **_: Any
) -> list[CheckMessage]:
    """What the broker is told must be what the limits say."""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    if options.get("visibility_timeout") == settings.BROKER_VISIBILITY_TIMEOUT_S:
        return []
    return [
        Error(
            "CELERY_BROKER_TRANSPORT_OPTIONS does not carry BROKER_VISIBILITY_TIMEOUT_S.",
            hint="Set the environment variable, not the option.",
            id="portal.E002",
        )
    ]


@register(Tags.security)
def check_security_contact(
    *, app_configs: Sequence[AppConfig] | None, **_: Any
) -> list[CheckMessage]:
    """Programs follow what security.txt says, so it must be an address."""
    contact = settings.SECURITY_CONTACT
    if not contact or contact.startswith(("mailto:", "https://", "tel:")):
        return []
    return [
        Error(
            f"SECURITY_CONTACT is {contact!r}; it must begin with mailto:, https:// or tel:.",
            hint="RFC 9116: the contact is an address that a program can open.",
            id="portal.E004",
        )
    ]


@register(Tags.security, deploy=True)
def check_content_policy(
    *, app_configs: Sequence[AppConfig] | None, **_: Any
) -> list[CheckMessage]:
    """Django's own rules know nothing of the content policy, which keeps foreign script out."""
    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    scripts = set(directives.get("script-src", directives.get("default-src", ["*"])))
    weak = {
        source for source in scripts if "unsafe" in source or source in ("*", "https:", "data:")
    }
    framed = set(directives.get("frame-ancestors", ["*"])) - {"'none'", "'self'"}
    if not weak and not framed:
        return []
    return [
        Error(
            "CONTENT_SECURITY_POLICY lets foreign or inline script, or foreign frames, in.",
            hint="Scripts come from the portal itself; nothing on its pages needs more.",
            id="portal.E005",
        )
    ]


@register(Tags.security, deploy=True)
def check_default_deny(*, app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """What closes a view that forgot to say who may come in, and what writes the audit."""
    needed = (
        "portal.middleware.SecurityHeadersMiddleware",
        "csp.middleware.CSPMiddleware",
        "screening.accounts.middleware.SignInRequiredMiddleware",
        "screening.accounts.middleware.ActiveMembershipMiddleware",
        "screening.accounts.middleware.SecondFactorMiddleware",
        "screening.audit.middleware.RequestContextMiddleware",
    )
    found: list[CheckMessage] = [
        Error(f"{name} is not in MIDDLEWARE.", hint="Put it back.", id="portal.E006")
        for name in needed
        if name not in settings.MIDDLEWARE
    ]
    if settings.REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"] != ["portal.api.DenyUnlessDeclared"]:
        found.append(
            Error(
                "The API's default permission is not to deny.",
                hint="A view that forgot to name its own must be closed.",
                id="portal.E007",
            )
        )
    return found


@register(Tags.security)
def check_no_admin_site(*, app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Django's admin would show and change patient data past the audit."""
    if "django.contrib.admin" not in settings.INSTALLED_APPS:
        return []
    return [
        Error(
            "django.contrib.admin is installed.",
            hint="Admins work on the portal's own pages, which ask the policy and write the audit.",
            id="portal.E003",
        )
    ]


@register(Tags.security)
def check_file_keys(*, app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Keys that others can read, or that lie among what they lock, protect nothing."""
    if settings.FILE_ENCRYPTION == "off":
        return []
    folder = Path(settings.ENCRYPTION_KEYS_DIR).resolve()
    found: list[CheckMessage] = [
        Error(
            f"{name} in ENCRYPTION_KEYS_DIR can be read or changed by other users.",
            hint="Run: chmod 700 on the folder and chmod 600 on the key files in it.",
            id="portal.E020",
        )
        for name in keyring.exposed(folder)
    ]
    if folder.is_relative_to(Path(settings.MEDIA_ROOT).resolve()):
        found.append(
            Error(
                "ENCRYPTION_KEYS_DIR lies in the folder of the files that its keys lock.",
                hint="Whoever takes the files would take the keys along: name another folder.",
                id="portal.E021",
            )
        )
    return found
