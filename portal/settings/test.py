"""Settings of the test suite, for both shapes.

``TEST_SHAPE`` says which: ``embedded`` (SQLite in a file, embedded Redis on a unix socket) or
``server`` (``TEST_DATABASE_URL`` and ``TEST_REDIS_URL``). Processes that a test starts find the
same database, files and broker through the variables that ``tests/conftest.py`` exports.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from portal.env import celery_broker_url, postgres_from_url
from portal.settings.base import *
from portal.settings.base import LOGGING, env
from portal.settings.sqlite import sqlite_database

SECRET_KEY = "only-for-tests-" + "x" * 50
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]

# One folder for each run; nothing is made here, so that a type checker may import this module.
TEST_RUN_DIR = Path(
    env.text("TEST_RUN_DIR", f"{tempfile.gettempdir()}/thorascreen-test-{os.getpid()}")
)
VAR_DIR = TEST_RUN_DIR / "var"
MEDIA_ROOT = env.text("TEST_MEDIA_ROOT", str(VAR_DIR / "media"))
STATIC_ROOT = VAR_DIR / "static"
ENCRYPTION_KEYS_DIR = env.path("ENCRYPTION_KEYS_DIR", VAR_DIR / "keys")

TEST_SHAPE = env.choice("TEST_SHAPE", ("embedded", "server"), "embedded")
if TEST_SHAPE == "server":
    _database = postgres_from_url(env.text("TEST_DATABASE_URL"), name="TEST_DATABASE_URL")
    _database["CONN_MAX_AGE"] = 0
    _database["TEST"] = {"NAME": f"test_thorascreen_{os.getpid()}"}
else:
    # A file, not memory: worker processes of the tests open it too. Nobody mourns it after a
    # power cut, so commits need not reach the disk.
    _database = sqlite_database(TEST_RUN_DIR / "db.sqlite3", synchronous="OFF")
    _database["TEST"] = {"NAME": str(TEST_RUN_DIR / "test.sqlite3")}
if env.has("TEST_DATABASE_NAME"):  # A worker process: the very database of the running test.
    _database["NAME"] = env.text("TEST_DATABASE_NAME")
DATABASES = {"default": _database}

REDIS_URL = env.text("TEST_REDIS_URL", f"unix://{TEST_RUN_DIR}/redis.sock")
CELERY_BROKER_URL = celery_broker_url(REDIS_URL, name="TEST_REDIS_URL")

# Real hashing takes a third of a second for each persona of each test.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

STORAGES = {
    "default": {"BACKEND": "screening.studies.sealed_storage.SealedFileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_AUTOREFRESH = True
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
LOGGING["root"]["level"] = "WARNING" if not env.has("LOG_LEVEL") else LOGGING["root"]["level"]
