"""Whether the portal lives, and whether it can do its work.

Neither answer names hosts, paths, users or versions: both are open to everyone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from portal.paths import BASE_DIR
from screening.accounts.access import public

logger = logging.getLogger(__name__)

REDIS_PATIENCE_S = 1.0


@public
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers; asks no database, since a slow one must kill no web server."""
    return JsonResponse({"status": "ok"})


@public
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when everything that an upload needs is there, else 503; says which part is missing."""
    parts = {name: _holds(name, check) for name, check in CHECKS.items()}
    ready = all(parts.values())
    body = {
        "status": "ready" if ready else "not ready",
        "checks": {name: "ok" if good else "failed" for name, good in parts.items()},
    }
    return JsonResponse(body, status=200 if ready else 503)


def _holds(name: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except (OSError, ValueError, TypeError, LookupError, DatabaseError, redis.RedisError) as error:
        # The type only: messages of drivers quote hosts, users and sometimes passwords.
        logger.warning("not ready: %s (%s)", name, type(error).__name__)
        return False
    return True


def check_database() -> None:
    """The database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def check_broker() -> None:
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


def check_storage() -> None:
    """A file can be written where images are kept."""
    folder = Path(settings.MEDIA_ROOT)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as handle:
        handle.write(b"ready")
        handle.flush()


def check_model() -> None:
    """The model package is complete: every file its manifest names has the hash it names."""
    manifest_path = model_folder() / "manifest.json"
    files: dict[str, str] = json.loads(manifest_path.read_text(encoding="utf-8"))["sha256"]
    if not files:
        raise ValueError("the manifest names no files")
    for name, wanted in files.items():
        path = manifest_path.parent / name
        found = path.stat()
        if _sha256_of(path, found.st_mtime_ns, found.st_size) != wanted:
            raise ValueError("a file of the model package was changed")


def model_folder() -> Path:
    """The folder of the served package: the configured one, else the one that ships."""
    if settings.THORASCREEN_MODEL:
        return Path(settings.THORASCREEN_MODEL)
    released = BASE_DIR / "ml" / "models"
    active = json.loads((released / "active.json").read_text(encoding="utf-8"))
    return released / str(active["package"])


@lru_cache(maxsize=16)
def _sha256_of(path: Path, mtime_ns: int, size: int) -> str:
    """The file's hash; a probe every few seconds reads it again only when it was touched."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


CHECKS: dict[str, Callable[[], None]] = {
    "database": check_database,
    "broker": check_broker,
    "storage": check_storage,
    "model": check_model,
}
