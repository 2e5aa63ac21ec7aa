"""An environment in which the production settings start; tests spoil one part of it at a time."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def sound_environment(var: Path) -> dict[str, str]:
    """Everything production asks for, with throw-away secrets."""
    return {
        "DJANGO_SETTINGS_MODULE": "portal.settings.production",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "ALLOWED_HOSTS": "portal.example.org",
        "CSRF_TRUSTED_ORIGINS": "https://portal.example.org",
        "TLS": "proxy",
        "DATABASE_URL": "postgresql://portal@127.0.0.1/portal",
        "DATABASE_PASSWORD": secrets.token_urlsafe(16),
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "REDIS_PASSWORD": secrets.token_urlsafe(16),
        "THORASCREEN_VAR": str(var),
    }


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that another settings module reads."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
    }


def run_manage(
    arguments: list[str], environment: dict[str, str], *, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """``manage.py`` with ``environment`` and nothing else of ours."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**clean_environment(), **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
