"""The production settings on real servers: gunicorn, PostgreSQL and Redis with a password."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest
import requests
import yaml
from django.conf import settings

from tests.portal.production import ROOT, clean_environment, run_manage, sound_environment
from tests.services.kit import free_port, wait_for

pytestmark = pytest.mark.server

AS_THE_PROXY_SAYS = {"X-Forwarded-Proto": "https", "Host": "portal.example.org"}
DATABASE = f"thorascreen_production_{os.getpid()}"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A migrated production database of its own, and the environment that points to it."""
    server = os.environ["TEST_DATABASE_URL"]
    connection = psycopg2.connect(server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")
    folder = tmp_path_factory.mktemp("production")
    found = {
        **sound_environment(folder),
        "DATABASE_URL": urlsplit(server)._replace(path=f"/{DATABASE}").geturl(),
        "DATABASE_TRUSTED": "true",
        "DATABASE_PASSWORD": "",
        "REDIS_URL": settings.REDIS_URL,
        "REDIS_PASSWORD": "",
        "STATIC_ROOT": str(folder / "staticfiles"),
    }
    for command in (["migrate", "--noinput"], ["collectstatic", "--noinput"]):
        done = run_manage(command, found)
        assert done.returncode == 0, done.stderr
    yield found
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    connection.close()


@pytest.fixture(scope="module")
def base(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """gunicorn as the image starts it."""
    port = free_port()
    log_path = tmp_path_factory.mktemp("gunicorn") / "web.log"
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"]
        command += ["--config", "python:portal.gunicorn_conf"]
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**clean_environment(), **environment, "WEB_WORKERS": "1"},
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert server.poll() is None, log_path.read_text()
        try:
            return requests.get(f"{address}/healthz", headers=AS_THE_PROXY_SAYS, timeout=5).ok
        except requests.ConnectionError:
            return False

    try:
        wait_for(answers, what="gunicorn")
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)


def test_it_is_ready(base: str) -> None:
    found = requests.get(f"{base}/readyz", headers={"Host": "portal.example.org"}, timeout=10)
    checks = found.json()["checks"]
    assert checks["database"] == checks["broker"] == checks["storage"] == "ok"


def test_its_own_probe_finds_it_healthy(base: str, environment: dict[str, str]) -> None:
    def probe(what: str) -> int:
        return subprocess.run(
            [sys.executable, "-m", "portal.probe", what],
            cwd=ROOT,
            env={**clean_environment(), **environment},
            timeout=60,
            check=False,
        ).returncode

    assert probe(f"{base}/healthz") == 0
    assert probe(f"{base}/no-such-page") == 1
    assert probe(f"http://127.0.0.1:{free_port()}/healthz") == 1


def test_a_worker_started_as_compose_does_answers_its_probe(
    environment: dict[str, str], tmp_path: Path
) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    program, *arguments = compose["worker"]["command"]
    everything = {**clean_environment(), **environment, "WORKER_CONCURRENCY": "1"}
    everything["WORKER_READY_FILE"] = str(tmp_path / "ready")
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [str(Path(sys.executable).parent / program), *arguments],
            cwd=ROOT,
            env=everything,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for((tmp_path / "ready").exists, seconds=60, what="the worker")
        probe = [sys.executable, *compose["worker"]["healthcheck"]["test"][2:]]
        done = subprocess.run(probe, cwd=ROOT, env=everything, timeout=60, check=False)
        assert done.returncode == 0, (tmp_path / "worker.log").read_text()
    finally:
        worker.terminate()
        worker.wait(timeout=40)
    done = subprocess.run(probe, cwd=ROOT, env=everything, timeout=60, check=False)
    assert done.returncode == 1, "a probe that cannot fail"


def test_the_first_admin_is_made_by_a_command(environment: dict[str, str], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("heron-walks-at-dawn-42\n")
    done = run_manage(
        ["create_admin", "--site=North", "--username=ada", f"--password-file={password}"],
        environment,
    )
    assert done.returncode == 0, done.stderr


def test_a_plain_request_is_sent_to_https(base: str) -> None:
    found = requests.get(
        f"{base}/login/",
        headers={"Host": "portal.example.org"},
        allow_redirects=False,
        timeout=10,
    )
    assert found.status_code == 301
    assert found.headers["Location"].startswith("https://portal.example.org/")


def test_an_unknown_host_is_refused(base: str) -> None:
    headers = {"X-Forwarded-Proto": "https", "Host": "evil.example"}
    assert requests.get(f"{base}/", headers=headers, timeout=10).status_code == 400


def test_a_page_carries_every_protection(base: str) -> None:
    found = requests.get(f"{base}/", headers=AS_THE_PROXY_SAYS, timeout=10, allow_redirects=False)
    assert found.status_code == 302
    login = found.headers["Location"]
    page = requests.get(f"{base}{login}", headers=AS_THE_PROXY_SAYS, timeout=10)
    assert page.status_code == 200
    assert "max-age=31536000" in page.headers["Strict-Transport-Security"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"].startswith("no-store") or (
        "no-store" in page.headers["Cache-Control"]
    )
    cookies = page.headers.get("Set-Cookie", "")
    assert "__Host-csrf" in cookies
    assert "Secure" in cookies


def test_static_files_are_served_compressed_and_for_ever(
    base: str, environment: dict[str, str]
) -> None:
    manifest = json.loads(
        (Path(environment["STATIC_ROOT"]) / "staticfiles.json").read_text(encoding="utf-8")
    )
    name = next(name for name in manifest["paths"].values() if name.endswith(".css"))
    found = requests.get(f"{base}/static/{name}", headers=AS_THE_PROXY_SAYS, timeout=10)
    assert found.status_code == 200
    assert "immutable" in found.headers["Cache-Control"]
    assert found.headers["Content-Encoding"] == "gzip"
