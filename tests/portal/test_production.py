"""Production refuses to start when it would be unsafe, and says why in one sentence."""

from __future__ import annotations

import importlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.portal.production import run_manage, sound_environment

SETTINGS = "portal.settings.production"


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A sound environment, in force; tests change ``os.environ`` from here."""
    environment = sound_environment(tmp_path)
    for name in list(os.environ):
        if name.endswith("_FILE") or name in ("DEBUG", "DATABASE_TRUSTED"):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        if name != "DJANGO_SETTINGS_MODULE":
            monkeypatch.setenv(name, value)
    yield environment
    sys.modules.pop(SETTINGS, None)


def load() -> ModuleType:
    sys.modules.pop(SETTINGS, None)
    return importlib.import_module(SETTINGS)


def test_sound_settings_start(sound: dict[str, str]) -> None:
    settings = load()
    assert settings.DEBUG is False
    assert settings.SESSION_COOKIE_SECURE
    assert settings.CSRF_COOKIE_SECURE
    assert settings.SECURE_HSTS_SECONDS >= 31_536_000
    assert settings.DATABASES["default"]["PASSWORD"] == sound["DATABASE_PASSWORD"]
    assert sound["REDIS_PASSWORD"] in settings.CELERY_BROKER_URL


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", "", "SECRET_KEY must be set"),
        ("SECRET_KEY", "short", "at least 50"),
        ("SECRET_KEY", "ab" * 40, "repeats itself"),
        ("SECRET_KEY", "django-insecure-" + "k3j4h5g6f7d8s9a0" * 4, "placeholder"),
        ("SECRET_KEY", "changeme" + "k3j4h5g6f7d8s9a0" * 4, "placeholder"),
        ("SECRET_KEY_FALLBACKS", "too-short", "at least 50"),
        ("DEBUG", "true", "DEBUG must be off"),
        ("DEBUG", "maybe", "DEBUG must be one of"),
        ("ALLOWED_HOSTS", "", "ALLOWED_HOSTS must name"),
        ("ALLOWED_HOSTS", "*", r"must not contain \*"),
        ("ALLOWED_HOSTS", "*.example.org", r"must not contain \*"),
        ("ALLOWED_HOSTS", "https://portal.example.org", "without scheme or port"),
        ("ALLOWED_HOSTS", "portal.example.org:443", "without scheme or port"),
        ("CSRF_TRUSTED_ORIGINS", "portal.example.org", "write https://host"),
        ("CSRF_TRUSTED_ORIGINS", "http://portal.example.org", "write https://host"),
        ("CSRF_TRUSTED_ORIGINS", "https://portal.example.org/", "write https://host"),
        ("TLS", "", "TLS must be set"),
        ("TLS", "off", "TLS must say who speaks HTTPS"),
        ("HSTS_SECONDS", "0", "HSTS_SECONDS"),
        ("DATABASE_URL", "", "DATABASE_URL must be set"),
        ("DATABASE_URL", "sqlite:////var/db.sqlite3", "must begin with postgresql://"),
        ("DATABASE_PASSWORD", "", "DATABASE_PASSWORD_FILE"),
        ("REDIS_URL", "", "REDIS_URL must be set"),
        ("REDIS_URL", "memory://", "must begin with redis://"),
        ("REDIS_PASSWORD", "", "REDIS_PASSWORD_FILE"),
        ("EMAIL_PORT", "smtp", "EMAIL_PORT must be a whole number"),
    ],
)
def test_an_unsafe_setting_stops_the_start(
    sound: dict[str, str], monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=sentence):
        load()


def test_no_refusal_repeats_a_secret(
    sound: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "django-insecure-" + secrets.token_urlsafe(50)
    monkeypatch.setenv("SECRET_KEY", secret)
    with pytest.raises(ImproperlyConfigured) as refusal:
        load()
    assert secret not in str(refusal.value)


def test_secrets_come_from_files(
    sound: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SECRET_KEY", "DATABASE_PASSWORD", "REDIS_PASSWORD"):
        path = tmp_path / name
        path.write_text(sound[name] + "\n")
        monkeypatch.delenv(name)
        monkeypatch.setenv(f"{name}_FILE", str(path))
    settings = load()
    assert sound["SECRET_KEY"] == settings.SECRET_KEY
    assert settings.DATABASES["default"]["PASSWORD"] == sound["DATABASE_PASSWORD"]


def test_only_a_proxy_may_say_that_a_request_was_encrypted(
    sound: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load().SECURE_PROXY_SSL_HEADER == ("HTTP_X_FORWARDED_PROTO", "https")
    monkeypatch.setenv("TLS", "direct")
    assert not hasattr(load(), "SECURE_PROXY_SSL_HEADER")


@pytest.mark.once
def test_the_deployment_check_is_clean(tmp_path: Path) -> None:
    done = run_manage(["check", "--deploy", "--fail-level", "INFO"], sound_environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.once
def test_a_refused_start_names_the_variable_and_nothing_else_happens(tmp_path: Path) -> None:
    environment = {**sound_environment(tmp_path), "ALLOWED_HOSTS": "*"}
    done = run_manage(["migrate"], environment)
    assert done.returncode != 0
    assert "ALLOWED_HOSTS must not contain *" in done.stderr
