"""One machine that has nothing: SQLite, and a Redis of our own on a unix socket.

Everything lives under ``var/``. The portal listens on this machine only unless ``HOST`` says
otherwise; for a network, use ``portal.settings.production`` behind TLS.
"""

from __future__ import annotations

from portal.env import celery_broker_url
from portal.paths import make_private_folder, read_or_make_secret_key, redis_socket_path
from portal.settings.base import *
from portal.settings.base import VAR_DIR, env
from portal.settings.sqlite import sqlite_database

make_private_folder(VAR_DIR)
SECRET_KEY = read_or_make_secret_key(VAR_DIR / "secret-key")

# The page is asked for by its own machine; a proxy or another name is told to us.
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *env.words("ALLOWED_HOSTS")]
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

DATABASES = {"default": sqlite_database(VAR_DIR / "db.sqlite3")}

REDIS_URL = f"unix://{redis_socket_path(VAR_DIR)}"
CELERY_BROKER_URL = celery_broker_url(REDIS_URL, name="REDIS_URL")

# Half-received uploads stay on our disk and out of the shared temporary folder.
FILE_UPLOAD_TEMP_DIR = str(VAR_DIR / "run" / "uploads")
make_private_folder(VAR_DIR / "run" / "uploads")

STORAGES = {
    "default": {"BACKEND": "screening.studies.sealed_storage.SealedFileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
