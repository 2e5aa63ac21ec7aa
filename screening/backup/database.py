"""One consistent picture of the database, on SQLite and PostgreSQL, while others write."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.backends.postgresql.client import DatabaseClient
from django.utils.translation import gettext as _

from screening.core.errors import PortalError

COPY: Final = "backup-copy"
BLOCK: Final = 1024 * 1024


class BackupFailed(PortalError):
    """The backup or the restore could not be made; ``code`` says what was in the way."""

    code = "backup_failed"
    http_status = 503


@dataclass(frozen=True)
class Snapshot:
    """A picture of the database: ``alias`` asks it with Django's queries, ``dump`` yields it."""

    alias: str
    dump: Iterator[bytes]


@contextmanager
def snapshot() -> Iterator[Snapshot]:
    """What the database holds at this moment, for as long as the block lasts."""
    with _postgres() if connection.vendor == "postgresql" else _sqlite() as found:
        yield found


def table_counts(alias: str) -> dict[str, int]:
    """How many rows each table of the picture holds."""
    asked = connections[alias]
    names = sorted(asked.introspection.table_names())
    counts = {}
    with asked.cursor() as cursor:
        for name in names:
            cursor.execute(f"SELECT count(*) FROM {asked.ops.quote_name(name)}")  # noqa: S608
            counts[name] = int(cursor.fetchone()[0])
    return counts


def server_version() -> str:
    """Of the database, for the list of a backup."""
    if connection.vendor == "sqlite":
        return sqlite3.sqlite_version
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])


# --- SQLite ------------------------------------------------------------------------------------


@contextmanager
def _sqlite() -> Iterator[Snapshot]:
    """SQLite's own backup into a private file beside the database; writers are not held up."""
    folder = Path(settings.VAR_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=folder) as name:
        path = Path(name) / "copy.sqlite3"
        connection.ensure_connection()
        copy = sqlite3.connect(path)
        try:
            connection.connection.backup(copy)
        finally:
            copy.close()
        with also_known_as(COPY, str(path)):
            yield Snapshot(COPY, _blocks_of(path))


@contextmanager
def also_known_as(alias: str, name: str) -> Iterator[None]:
    """Let this thread's queries ask another database of the same server, or another file."""
    wrapper = type(connections[DEFAULT_DB_ALIAS])
    connections[alias] = wrapper({**connection.settings_dict, "NAME": name}, alias)
    try:
        yield
    finally:
        connections[alias].close()
        del connections[alias]


def _blocks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        yield from iter(lambda: handle.read(BLOCK), b"")


def load_sqlite(blocks: Iterable[bytes], *, aside: str) -> None:
    """Put the database in its place, whole or not at all; what was there is moved ``aside``."""
    target = Path(str(connection.settings_dict["NAME"]))
    connection.close()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.restoring")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            for block in blocks:
                handle.write(block)
            handle.flush()
            os.fsync(handle.fileno())
        _check_sqlite(draft)
        for suffix in ("-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        if target.exists() and aside:
            target.rename(target.with_name(f"{target.name}.{aside}"))
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _check_sqlite(path: Path) -> None:
    copy = sqlite3.connect(path)
    try:
        answer = copy.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError:
        answer = "unreadable"
    finally:
        copy.close()
    if answer != "ok":
        raise BackupFailed(_("The database of this backup is damaged."), code="database_damaged")


# --- PostgreSQL --------------------------------------------------------------------------------


@contextmanager
def _postgres() -> Iterator[Snapshot]:
    """``pg_dump`` and our own queries on one exported snapshot."""
    program = postgres_program("pg_dump")
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SELECT pg_export_snapshot()")
            name = str(cursor.fetchone()[0])
        options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={name}"]
        yield Snapshot(DEFAULT_DB_ALIAS, _dumped([program, *options]))


def postgres_program(name: str) -> str:
    """Where a program of PostgreSQL's client lies. Raises ``BackupFailed`` without it."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=_major)
    found = str(newest[-1]) if newest else shutil.which(name)
    if found is None:
        raise BackupFailed(
            _(
                "%(program)s is not installed here: install PostgreSQL's client, of the server's "
                "version or newer."
            )
            % {"program": name},
            code="postgres_client_missing",
        )
    return found


def _major(path: Path) -> float:
    try:
        return float(path.parent.parent.name)
    except ValueError:
        return 0.0


def _address() -> tuple[list[str], dict[str, str]]:
    """Arguments and environment that lead a client program to our database."""
    arguments, extra = DatabaseClient.settings_to_cmd_args_env(connection.settings_dict, [])
    return arguments[1:], {**os.environ, **(extra or {}), "PGAPPNAME": "thorascreen-backup"}


def _dumped(command: list[str]) -> Iterator[bytes]:
    arguments, environment = _address()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        out = _pipe(process.stdout)
        try:
            yield from iter(lambda: out.read(BLOCK), b"")
        finally:
            out.close()
            code = process.wait()
        if code != 0:
            raise _client_failed("pg_dump", said)


def load_postgres(archive: Callable[[], Iterable[bytes]]) -> None:
    """Put the dump in the place of everything in the schema ``public``, in one transaction.

    The last word is ours: the script is ended by COMMIT only after ``pg_restore`` has read the
    archive to its end. Whatever breaks before, the server takes back. ``archive`` is asked twice,
    so that no plain copy of the database has to lie anywhere.
    """
    restore, psql = postgres_program("pg_restore"), postgres_program("psql")
    arguments, environment = _address()
    connection.close()
    with tempfile.TemporaryFile() as said, tempfile.NamedTemporaryFile("w", suffix=".list") as kept:
        kept.write(_without_row_security(restore, archive()))
        kept.flush()
        reader = subprocess.Popen(
            [restore, "--no-owner", "--no-privileges", f"--use-list={kept.name}", "--file=-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        writer = subprocess.Popen(
            [
                psql,
                "--no-psqlrc",
                "--quiet",
                "--set=ON_ERROR_STOP=1",
                "-o",
                "/dev/null",
                *arguments,
            ],
            env=environment,
            stdin=subprocess.PIPE,
            stderr=said,
        )
        source, sink = _pipe(reader.stdout), _pipe(writer.stdin)
        feeder = _Feeder(_pipe(reader.stdin), archive())
        try:
            sink.write(b"BEGIN;\nDROP SCHEMA public CASCADE;\nCREATE SCHEMA public;\n")
            for block in iter(lambda: source.read(BLOCK), b""):
                sink.write(block)
            feeder.finish()
            if reader.wait() != 0:
                raise _client_failed("pg_restore", said)
            sink.write(b"\nCOMMIT;\n")
            sink.close()
        except BrokenPipeError:
            reader.kill()
        except BaseException:
            writer.kill()
            raise
        finally:
            source.close()
            reader.kill()
            reader.wait()
            with suppress(BrokenPipeError):
                sink.close()
            code = writer.wait()
        if code != 0:
            raise _client_failed("psql", said)


class _Feeder(threading.Thread):
    """Writes blocks into a pipe whose other end is read meanwhile."""

    def __init__(self, pipe: Any, blocks: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._sink = pipe
        self._blocks = blocks
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            for block in self._blocks:
                self._sink.write(block)
        except BrokenPipeError:
            pass  # The reader needed no more, or failed: its exit status says which.
        except BaseException as error:
            self._error = error
        finally:
            with suppress(BrokenPipeError):
                self._sink.close()

    def finish(self) -> None:
        """Wait for the end; raise what stopped it."""
        self.join()
        if self._error is not None:
            raise self._error


def _without_row_security(restore: str, archive: Iterable[bytes]) -> str:
    """The archive's table of contents without the policies of rows.

    They name roles that may not exist on the new machine; the portal's own set-up makes them again.
    """
    process = subprocess.Popen(
        [restore, "--list"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    feeder = _Feeder(_pipe(process.stdin), archive)
    listed = _pipe(process.stdout).read().decode()
    code = process.wait()
    feeder.finish()
    if code != 0:
        raise BackupFailed(_("The database of this backup is damaged."), code="database_damaged")
    lines = listed.splitlines()
    return "\n".join(
        line for line in lines if " POLICY " not in line and " ROW SECURITY " not in line
    )


def other_connections() -> int:
    """How many others are connected to this database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def _pipe(stream: Any) -> Any:
    if stream is None:
        raise BackupFailed(_("A program of PostgreSQL's client could not be started."))
    return stream


def _client_failed(program: str, said: Any) -> BackupFailed:
    """With the first error that the program named. The lines after it may quote rows."""
    said.seek(0)
    lines = [
        line
        for line in said.read().decode(errors="replace").splitlines()
        if "error" in line.lower() and "DETAIL" not in line and "CONTEXT" not in line
    ]
    sentence = _("%(program)s failed: %(why)s")
    return BackupFailed(
        sentence % {"program": program, "why": lines[0] if lines else "?"},
        code="postgres_client_failed",
    )
