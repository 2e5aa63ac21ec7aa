"""`manage.py check` refuses settings under which work would be done twice."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks

from tests.portal.production import run_manage


def found_ids() -> set[str]:
    return {str(message.id) for message in run_checks()}


def test_the_settings_of_the_product_are_in_order() -> None:
    assert not {name for name in found_ids() if name.startswith("portal.")}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INFERENCE_SOFT_LIMIT_S", 30),
        ("INFERENCE_HARD_LIMIT_S", 45),
        ("INFERENCE_LEASE_S", 120),
        ("INFERENCE_LEASE_S", 10),
    ],
)
def test_limits_in_the_wrong_order_are_refused(settings: Any, name: str, value: float) -> None:
    setattr(settings, name, value)
    assert "portal.E001" in found_ids()


def test_a_broker_that_does_not_know_the_limit_is_refused(settings: Any) -> None:
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 5}
    assert "portal.E002" in found_ids()


def test_the_admin_site_is_refused(settings: Any) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.admin"]
    assert "portal.E003" in found_ids()


@pytest.mark.once
def test_an_operator_sees_the_refusal(tmp_path: Any) -> None:
    environment = {
        "THORASCREEN_VAR": str(tmp_path / "var"),
        "DJANGO_SETTINGS_MODULE": "portal.settings.embedded",
        "INFERENCE_HARD_LIMIT_S": "10",
    }
    done = run_manage(["check"], environment)
    assert done.returncode != 0
    assert "INFERENCE_SOFT_LIMIT_S (20 s) must be smaller" in done.stderr
