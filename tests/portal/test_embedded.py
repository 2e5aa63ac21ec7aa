"""`make run` on a machine that has nothing: starting, stopping, dying, and starting again."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from portal.paths import SOCKET_PATH_LIMIT, make_private_folder, redis_socket_path
from portal.supervisor import LOG_LIMIT_BYTES, LOGS_KEPT, Service
from tests.portal.production import ROOT, clean_environment
from tests.services.kit import Stack, free_port, running_stack, wait_for

pytestmark = [pytest.mark.once, pytest.mark.services]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One portal for the tests that leave it running."""
    with running_stack(tmp_path_factory.mktemp("embedded") / "var") as stack:
        yield stack


def start_again(var: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to be refused."""
    return subprocess.run(
        [sys.executable, "-m", "portal.embedded"],
        cwd=ROOT,
        env={**clean_environment(), "THORASCREEN_VAR": str(var), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def words_of(process: psutil.Process) -> list[str]:
    """The program's name and arguments; Redis rewrites its own into one string."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return []
    return [*words, *(Path(word.split(" ")[0]).name for word in words[:1])]


def test_it_says_what_it_does_and_ends_with_the_address(portal: Stack) -> None:
    lines = portal.output().splitlines()
    assert lines[0] == "Starting Redis."
    assert lines[-1] == f"ThoraScreen is ready at {portal.base}/"
    assert requests.get(f"{portal.base}/healthz", timeout=10).json() == {"status": "ok"}


def test_passwords_are_generated_shown_once_and_kept_for_the_owner(portal: Stack) -> None:
    path = portal.var / "first-login.txt"
    assert mode(path) == 0o600
    for role in ("admin", "clinician"):
        _, password = portal.login(role)
        assert len(password) >= 16
        assert portal.output().count(password) == 1


def test_nobody_else_can_read_the_data(portal: Stack) -> None:
    assert mode(portal.var) == 0o700
    assert mode(portal.var / "secret-key") == 0o600
    for path in portal.var.rglob("*"):
        if path.is_socket() or path.is_file() or path.is_dir():
            assert not mode(path) & 0o077, path


def test_it_listens_on_this_machine_only_and_redis_on_no_port(portal: Stack) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in portal.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", portal.port)}
    assert mode(portal.var / "run" / "redis.sock") == 0o700


def test_a_second_start_says_that_one_is_running(portal: Stack) -> None:
    done = start_again(portal.var, PORT=str(free_port()))
    assert done.returncode == 1
    assert "already runs here" in done.stderr
    assert portal.base in done.stderr
    assert requests.get(f"{portal.base}/healthz", timeout=10).ok


def test_a_used_port_is_named_with_a_way_out(portal: Stack, tmp_path: Path) -> None:
    done = start_again(tmp_path / "var", PORT=str(portal.port))
    assert done.returncode == 1
    assert f"Port {portal.port} is in use" in done.stderr
    assert "make run PORT=" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "eighty"), ("PORT", "70000"), ("WORKER_CONCURRENCY", "0")]
)
def test_a_wrong_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    done = start_again(tmp_path / "var", **{name: value})
    assert done.returncode == 1
    assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["redis-server", "gunicorn", "worker", "beat"])
def test_what_dies_is_started_again(portal: Stack, name: str) -> None:
    def find() -> list[psutil.Process]:
        children = alive(portal.processes()[0].children())
        return [child for child in children if name in words_of(child)]

    [before] = find()
    before.kill()
    wait_for(
        lambda: any(child.pid != before.pid for child in find()),
        seconds=30,
        what=f"another {name}",
    )

    def ready() -> bool:
        try:
            checks = requests.get(f"{portal.base}/readyz", timeout=5).json()["checks"]
        except (requests.RequestException, ValueError):
            return False
        return bool(checks["database"] == "ok" and checks["broker"] == "ok")

    wait_for(ready, seconds=30, what="the portal to be ready again")
    wait_for((portal.var / "run" / "worker.ready").exists, seconds=30, what="the worker")


def test_ctrl_c_stops_everything_and_a_second_start_keeps_the_data(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "var").start()
    login = (stack.var / "first-login.txt").read_text()
    processes = stack.processes()
    assert len(processes) >= 7
    started = time.monotonic()
    assert stack.stop(signal.SIGINT) == 0
    assert time.monotonic() - started < 10
    assert alive(processes) == []
    assert not (stack.var / "run" / "redis.sock").exists()
    again = Stack(stack.var, port=stack.port).start()
    try:
        assert (again.var / "first-login.txt").read_text() == login
        _, password = again.login("clinician")
        assert password not in again.output()
    finally:
        assert again.stop(signal.SIGTERM) == 0


def test_ctrl_c_while_the_database_is_made_is_answered_once(tmp_path: Path) -> None:
    """A terminal sends it to the whole group of processes, so to whoever prepares as well."""
    process = subprocess.Popen(
        [sys.executable, "-m", "portal.embedded"],
        cwd=ROOT,
        env={
            **clean_environment(),
            "THORASCREEN_VAR": str(tmp_path / "var"),
            "PORT": str(free_port()),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines = []
    while not lines or "database" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    os.killpg(process.pid, signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert told == "ThoraScreen has stopped; the data stays.\n"


def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "var").start()
    processes = stack.processes()
    assert stack.process is not None
    stack.process.kill()
    stack.process.wait()
    wait_for(lambda: not alive(processes), seconds=10, what=f"the end of {processes}")
    again = Stack(stack.var, port=stack.port).start()
    assert again.stop() == 0


def test_a_deep_folder_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / "var"
    path = redis_socket_path(deep)
    assert len(os.fsencode(path)) <= SOCKET_PATH_LIMIT
    assert path == redis_socket_path(deep)
    assert path != redis_socket_path(deep.with_name("other"))
    with running_stack(deep) as stack:
        assert requests.get(f"{stack.base}/healthz", timeout=10).ok
        assert mode(path) == 0o700
        assert mode(path.parent) == 0o700
    assert not path.parent.exists(), "something is left in the temporary folder"


@pytest.mark.parametrize("name", ["ward #2", "what?", "p%41"])
def test_a_folder_may_be_called_what_an_address_may_not(tmp_path: Path, name: str) -> None:
    """``#``, ``?`` and ``%`` cut the broker's address short, and the worker waited for ever."""
    path = redis_socket_path(tmp_path / name / "var")
    assert tmp_path not in path.parents
    plain = tmp_path / "ward 2" / "var"
    assert redis_socket_path(plain) == plain / "run" / "redis.sock"


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    var = tmp_path / "var"
    (var / "run").mkdir(parents=True)
    (var / "run" / "portal.lock").symlink_to("/nowhere/at/all")  # root may write anywhere else
    refused = start_again(var)
    assert refused.returncode == 1
    assert f"ThoraScreen cannot start: {var} cannot be written to" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_log_is_kept_small(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "log")
    log = tmp_path / "log" / "talk.log"
    program = "import time; print('x' * 99, flush=True); time.sleep(60)"
    service = Service("talker", [sys.executable, "-c", program], log, dict(os.environ))
    log.write_bytes(b"y" * LOG_LIMIT_BYTES)
    service.start()
    try:
        wait_for(lambda: log.stat().st_size > LOG_LIMIT_BYTES, what="the child to write")
        service.rotate_log()
        assert log.stat().st_size == 0
        assert (tmp_path / "log" / "talk.log.1").stat().st_size > LOG_LIMIT_BYTES
        for _ in range(2 * LOGS_KEPT):
            log.write_bytes(b"z" * LOG_LIMIT_BYTES)
            service.rotate_log()
        assert len(list(log.parent.iterdir())) == LOGS_KEPT + 1
    finally:
        service.ask_to_stop()
        service.wait_until_stopped()


def test_a_child_that_cannot_live_is_tried_less_and_less(tmp_path: Path) -> None:
    said: list[str] = []
    service = Service("sick child", ["/bin/false"], tmp_path / "log", dict(os.environ))
    service.start()
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        service.revive(said.append)
        time.sleep(0.02)
    waits = [float(wait) for line in said for wait in re.findall(r"in ([\d.]+) s", line)]
    assert waits == [0.5, 1, 2, 4][: len(waits)]
    assert len(waits) >= 2
    assert "exit status 1" in said[0]


def test_a_foreign_program_on_the_port_is_left_alone(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = start_again(tmp_path / "var", PORT=str(other.getsockname()[1]))
    assert done.returncode == 1
    assert "in use" in done.stderr
