"""For `collectstatic` while an image is built: production's static files, nothing else of it."""

from __future__ import annotations

import secrets

from portal.paths import BASE_DIR
from portal.settings.base import *
from portal.settings.base import env

SECRET_KEY = secrets.token_urlsafe(64)  # Signs nothing and is gone with the process.
DATABASES = {"default": {"ENGINE": "django.db.backends.dummy"}}
STATIC_ROOT = env.path("STATIC_ROOT", BASE_DIR / "staticfiles")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
