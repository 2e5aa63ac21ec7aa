"""Rules of `manage.py check`: settings that would make the portal unsafe or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register


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
