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


def deploy_ids() -> set[str]:
    return {str(message.id) for message in run_checks(include_deployment_checks=True)}


def test_a_contact_that_no_program_can_open_is_refused(settings: Any) -> None:
    settings.SECURITY_CONTACT = "the porter"
    assert "portal.E004" in found_ids()
    settings.SECURITY_CONTACT = "mailto:security@hospital.example"
    assert "portal.E004" not in found_ids()


@pytest.mark.parametrize(
    ("directive", "sources"),
    [
        ("script-src", ["'self'", "'unsafe-inline'"]),
        ("script-src", ["https:"]),
        ("frame-ancestors", ["https://elsewhere.example"]),
    ],
)
def test_a_weak_content_policy_is_refused(
    settings: Any, directive: str, sources: list[str]
) -> None:
    assert "portal.E005" not in deploy_ids()
    directives = {**settings.CONTENT_SECURITY_POLICY["DIRECTIVES"], directive: sources}
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives}
    assert "portal.E005" in deploy_ids()


def test_a_gate_that_was_taken_out_is_missed(settings: Any) -> None:
    assert not {"portal.E006", "portal.E007"} & deploy_ids()
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if "SecondFactor" not in one]
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_PERMISSION_CLASSES": []}
    assert {"portal.E006", "portal.E007"} <= deploy_ids()
