"""Whether the portal lives, and whether it can do its work.

Both answers are open to everyone: they name no hosts, paths, users or sites. A model version is
named only when it is broken, so that somebody can put the right one back.
"""

from __future__ import annotations

import errno
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from screening.accounts.access import public
from screening.backup.selectors import standing
from screening.core import row_policies
from screening.core.row_security import REQUIRED, is_enforced, is_wanted, role_is_usable
from screening.inference.model_health import check_models
from screening.studies.sealed_storage import encrypts, keyring, missing_keys, sealed_storage
from screening.studies.storage import UNFINISHED_RESTORE

logger = logging.getLogger(__name__)

REDIS_PATIENCE_S = 1.0


@public
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers; asks no database, since a slow one must kill no web server."""
    return JsonResponse({"status": "ok"})


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong: a stable code and a sentence that says what to do.

    ``stops_all`` is False for what only some of the portal's work suffers from.
    """

    code: str
    message: str
    check: str = ""
    model: str = ""
    stops_all: bool = True

    def to_json(self) -> dict[str, str]:
        """Without what is empty."""
        told = asdict(self)
        return {name: told[name] for name in ("check", "model", "code", "message") if told[name]}


@public
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when everything that an upload needs is there, else 503; says what is wrong.

    Where one model version of several is broken, the sites of the others are still served: the
    answer is 200 then, with the status ``degraded``. ``isolation`` says who keeps sites apart: the
    ``database`` as well, or the ``portal`` alone (SQLite can't).
    """
    found = {name: _ask(name, check) for name, check in CHECKS.items()}
    problems = [problem for named in found.values() for problem in named]
    stopped = any(problem.stops_all for problem in problems)
    body = {
        "isolation": "database" if is_enforced() else "portal",
        "status": "not ready" if stopped else "degraded" if problems else "ready",
        "checks": {name: "failed" if named else "ok" for name, named in found.items()},
        "problems": [problem.to_json() for problem in problems],
    }
    return JsonResponse(body, status=503 if stopped else 200)


def _ask(name: str, check: Callable[[], list[Problem]]) -> list[Problem]:
    try:
        problems = check()
    except (OSError, ValueError, TypeError, LookupError, DatabaseError, redis.RedisError) as error:
        # The type only: messages of drivers quote hosts, users and sometimes passwords.
        logger.warning("not ready: %s (%s)", name, type(error).__name__)
        problems = [Problem(f"{name}_failed", FAILED_MESSAGES[name])]
    return [replace(problem, check=name) for problem in problems]


def check_database() -> list[Problem]:
    """The database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return []


def check_broker() -> list[Problem]:
    """Redis answers within ``REDIS_PATIENCE_S``."""
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=REDIS_PATIENCE_S,
        socket_timeout=REDIS_PATIENCE_S,
    )
    try:
        client.ping()
    finally:
        client.close()
    return []


def check_storage() -> list[Problem]:
    """A file can be written where images are kept, and there is room for more of them.

    A disk takes a few bytes long after it refuses an X-ray: so the room is asked for as well.
    """
    folder = Path(settings.MEDIA_ROOT)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    free_mb = shutil.disk_usage(folder).free // (1024 * 1024)
    if free_mb < settings.LEAST_FREE_MB:
        return [
            Problem(
                "disk_full",
                f"Only {free_mb} MB are free where images are kept; "
                f"{settings.LEAST_FREE_MB} MB are needed. Make room there.",
            )
        ]
    if (folder / UNFINISHED_RESTORE).exists():
        return [
            Problem(
                "restore_unfinished",
                "A backup is being restored, or that was cut off; then run the restore again.",
            )
        ]
    try:
        with tempfile.TemporaryFile(dir=folder) as handle:
            handle.write(b"ready")
            handle.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return [Problem("disk_full", "The disk where images are kept is full; make room there.")]
    return []


def check_model() -> list[Problem]:
    """Every model version that must answer at some site is whole and could be loaded."""
    health = check_models()
    return [
        Problem(trouble.code, trouble.message, model=trouble.model, stops_all=health.none_answers)
        for trouble in health.troubles
    ]


def check_file_keys() -> list[Problem]:
    """The keys that stored files need are there, and are the right ones."""
    if encrypts() and not keyring().keys():
        return [
            Problem(
                "storage_key_missing",
                "There is no key for new files, so none is taken in; put the key files back.",
            )
        ]
    return [
        Problem(
            "storage_key_missing",
            f"The key {id} of stored files is missing or another one; put it back. "
            "What it locked can't be shown.",
            stops_all=False,
        )
        for id in missing_keys(sealed_storage())
    ]


def check_isolation() -> list[Problem]:
    """PostgreSQL limits web requests to the person's sites, as the models declare it."""
    if not is_wanted():
        return []
    required = settings.DATABASE_ROW_SECURITY == REQUIRED
    message = ""
    if not role_is_usable(connection):
        message = (
            "The database does not keep sites apart: the role for web requests is missing, and "
            "the portal may not make it. The log of manage.py migrate says what to run."
        )
    elif row_policies.missing(connection):
        message = "Tables lack the policies of this version: run manage.py migrate."
    return [Problem("row_security_missing", message, stops_all=required)] if message else []


def check_backup() -> list[Problem]:
    """The daily backup comes, where one is wanted. The portal works without."""
    code = standing().code
    return [Problem(code, BACKUP_MESSAGES.get(code, BACKUP_FAILED), stops_all=False)] * bool(code)


BACKUP_FAILED = "The last backup failed; see the page of backups, and the log of the scheduler."
BACKUP_MESSAGES = {
    "backup_never_made": "No backup was made yet; make one with: manage.py backup",
    "backup_overdue": "The daily backup did not come; is the scheduler running?",
    "backup_files_lost": "The last backup lacks stored files that could not be read.",
}

FAILED_MESSAGES = {
    "backup": "What became of backups could not be looked at; see the log of the web server.",
    "database": "The database does not answer; see the log of the web server.",
    "isolation": "Whether the database keeps sites apart could not be asked.",
    "broker": "Redis does not answer; images are taken in, and read when it is back.",
    "storage": "No file can be written where images are kept; see the log of the web server.",
    "file_keys": "The keys of stored files could not be looked at; see the log of the web server.",
    "model": "The model could not be looked at; see the log of the web server.",
}

CHECKS: dict[str, Callable[[], list[Problem]]] = {
    "database": check_database,
    "isolation": check_isolation,
    "broker": check_broker,
    "storage": check_storage,
    "file_keys": check_file_keys,
    "model": check_model,
    "backup": check_backup,
}
