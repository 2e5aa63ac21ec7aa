"""The compose file starts only what is there, with variables that somebody reads."""

from __future__ import annotations

import importlib.util
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.make_secrets import SECRET_FILES, make_secrets
from tests.portal.production import run_manage

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = ("migrate", "web", "worker", "scheduler")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def test_every_variable_is_read_by_somebody(compose: dict[str, Any]) -> None:
    sources = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "portal").rglob("*.py")
    )
    for service in OURS:
        for name in compose["services"][service]["environment"]:
            read_as = name.removesuffix("_FILE")
            assert f'"{read_as}"' in sources, f"{service}: nobody reads {name}"


def test_every_secret_is_mounted_made_and_read_from_its_file(compose: dict[str, Any]) -> None:
    assert set(compose["secrets"]) == set(SECRET_FILES)
    for service in OURS:
        entry = compose["services"][service]
        for name, value in entry["environment"].items():
            if name.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in entry["secrets"]
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"PASSWORD:\s*\S", text), "a password is written into the file"


def test_only_the_web_server_has_a_port_and_only_on_this_machine(compose: dict[str, Any]) -> None:
    ports = {name: entry.get("ports", []) for name, entry in compose["services"].items()}
    assert [name for name, found in ports.items() if found] == ["web"]
    assert all(port.startswith("127.0.0.1:") for port in ports["web"])
    assert compose["networks"]["inside"]["internal"] is True


def test_every_program_is_installed(compose: dict[str, Any]) -> None:
    for service in OURS:
        program, *arguments = compose["services"][service]["command"]
        assert program in ("python", "gunicorn", "celery")
        assert program == "python" or importlib.util.find_spec(program) is not None
        for argument in arguments:
            if argument.startswith("python:"):
                assert importlib.util.find_spec(argument.removeprefix("python:")) is not None
        probe = compose["services"][service]["healthcheck"].get("test", [])
        if probe:
            assert probe[:3] == ["CMD", "python", "-m"]
            assert importlib.util.find_spec(probe[3]) is not None


def test_services_are_watched_restarted_and_wait_for_each_other(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("postgres", "redis", "web", "worker"):
        assert services[name]["healthcheck"]["test"]
        assert services[name]["restart"] == "unless-stopped"
    for name in ("web", "worker", "scheduler"):
        waits = services[name]["depends_on"]
        assert waits["migrate"]["condition"] == "service_completed_successfully"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_our_containers_can_change_nothing_but_their_files(compose: dict[str, Any]) -> None:
    for service in OURS:
        entry = compose["services"][service]
        assert entry["read_only"] is True
        assert entry["cap_drop"] == ["ALL"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001", dockerfile, re.MULTILINE)
    assert "HEALTHCHECK" in dockerfile


def test_the_image_holds_only_what_it_runs() -> None:
    copied = set(re.findall(r"^COPY (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    ignored = (ROOT / ".dockerignore").read_text()
    for name in copied - {"--from=build"}:
        if name.startswith("--"):
            continue
        assert f"!{name}" in ignored, f"{name} is copied but ignored"
        assert (ROOT / name).exists()


def test_secrets_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert make_secrets(folder) == list(SECRET_FILES)
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert all(len(value) >= 40 for value in first.values())
    assert len(first["secret_key"]) >= 50
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert make_secrets(folder) == []
    assert {path.name: path.read_text() for path in folder.iterdir()} == first


def test_secrets_need_nothing_installed(tmp_path: Path) -> None:
    bare = [sys.executable, "-I", "-S", str(ROOT / "portal" / "make_secrets.py")]
    done = subprocess.run(
        [*bare, str(tmp_path / "secrets")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(SECRET_FILES)
    for path in (tmp_path / "secrets").iterdir():
        assert path.read_text() not in done.stdout


def test_the_image_can_collect_its_static_files(tmp_path: Path) -> None:
    """As the Dockerfile does it: without a database, a broker or a secret."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "portal.settings.collect",
        "THORASCREEN_VAR": str(tmp_path / "build"),
        "STATIC_ROOT": str(tmp_path / "staticfiles"),
    }
    assert all(name in (ROOT / "Dockerfile").read_text() for name in environment)
    done = run_manage(["collectstatic", "--noinput"], environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "staticfiles" / "staticfiles.json").exists()
    assert not (tmp_path / "build").exists()


def test_compose_itself_accepts_the_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run(
            [docker, "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("docker compose is not installed")
    done = subprocess.run(
        [docker, "compose", "--file", "docker-compose.yml", "config", "--quiet"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/usr/local/bin:/bin", "ALLOWED_HOSTS": "portal.example.org"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
