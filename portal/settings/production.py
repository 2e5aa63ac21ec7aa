"""A server that others reach: everything comes from the environment and from secret files.

The start is refused, with one sentence, when a setting would make the portal unsafe. See the
operating guide for what each variable means.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from portal.env import celery_broker_url, postgres_from_url, with_password
from portal.paths import BASE_DIR
from portal.settings.base import *
from portal.settings.base import CONTENT_SECURITY_POLICY as BASE_POLICY
from portal.settings.base import VAR_DIR, env

WEAK_SECRET_WORDS = ("changeme", "change-me", "secret", "insecure", "password", "example", "test")
HOST_NAME = re.compile(r"\.?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*\.?")
YEAR_S = 365 * 24 * 60 * 60


def strong_secret_key(key: str) -> str:
    """The key itself, unless somebody could guess it."""
    if len(key) < 50:
        raise ImproperlyConfigured("SECRET_KEY must have at least 50 characters.")
    if len(set(key)) < 12:
        raise ImproperlyConfigured("SECRET_KEY repeats itself; generate a random one.")
    lowered = key.lower()
    if lowered.startswith("django-insecure-") or any(
        lowered.startswith(word) for word in WEAK_SECRET_WORDS
    ):
        raise ImproperlyConfigured("SECRET_KEY is a placeholder; generate a random one.")
    return key


def named_hosts(hosts: list[str]) -> list[str]:
    """The hosts, each of which must be a real name or address."""
    if not hosts:
        raise ImproperlyConfigured("ALLOWED_HOSTS must name the host of this portal.")
    for host in hosts:
        if "*" in host:
            raise ImproperlyConfigured("ALLOWED_HOSTS must not contain *; name each host.")
        if not HOST_NAME.fullmatch(host) and not _is_address(host):
            raise ImproperlyConfigured(
                f"ALLOWED_HOSTS contains {host!r}; write a host name, without scheme or port."
            )
    return hosts


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def https_origins(origins: list[str]) -> list[str]:
    """The origins, each of which must be ``https://host[:port]`` and nothing more."""
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme != "https" or not parts.netloc or origin != f"https://{parts.netloc}":
            raise ImproperlyConfigured(
                f"CSRF_TRUSTED_ORIGINS contains {origin!r}; write https://host and nothing after."
            )
    return origins


if env.boolean("DEBUG", False):
    raise ImproperlyConfigured("DEBUG must be off in production.")
DEBUG = False

SECRET_KEY = strong_secret_key(env.secret("SECRET_KEY"))
SECRET_KEY_FALLBACKS = [
    strong_secret_key(key) for key in env.secret("SECRET_KEY_FALLBACKS", "").split()
]
ALLOWED_HOSTS = named_hosts(env.words("ALLOWED_HOSTS"))
CSRF_TRUSTED_ORIGINS = https_origins(env.words("CSRF_TRUSTED_ORIGINS"))

# --- Transport ---------------------------------------------------------------------------------

# ``direct``: gunicorn itself speaks TLS. ``proxy``: a proxy in front of it does, is the only way
# in, and sets X-Forwarded-Proto itself; trusting that header from anybody else would let plain
# requests pass for encrypted ones, so it must be said and cannot be the default.
TLS = env.text("TLS")
if TLS not in ("direct", "proxy"):
    raise ImproperlyConfigured(
        "TLS must say who speaks HTTPS: direct (this server) or proxy (one in front of it)."
    )
if TLS == "proxy":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = True
# Health probes come from inside, without TLS, and carry nothing worth protecting.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", YEAR_S, low=1)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.boolean("HSTS_SUBDOMAINS", True)
SECURE_HSTS_PRELOAD = env.boolean("HSTS_PRELOAD", True)
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-session"
CSRF_COOKIE_NAME = "__Host-csrf"
KNOWN_DEVICE_COOKIE_NAME = "__Host-known_device"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {**BASE_POLICY["DIRECTIVES"], "upgrade-insecure-requests": True}
}

# --- Database and broker -----------------------------------------------------------------------

DATABASES = {
    "default": postgres_from_url(
        env.text("DATABASE_URL"),
        name="DATABASE_URL",
        password=env.secret("DATABASE_PASSWORD", ""),
    )
}
if not DATABASES["default"]["PASSWORD"] and not env.boolean("DATABASE_TRUSTED", False):
    raise ImproperlyConfigured(
        "DATABASE_PASSWORD_FILE must name the file with the database's password "
        "(DATABASE_TRUSTED=true if the server knows its clients in another way)."
    )
REDIS_URL = with_password(env.text("REDIS_URL"), env.secret("REDIS_PASSWORD", ""), name="REDIS_URL")
CELERY_BROKER_URL = celery_broker_url(REDIS_URL, name="REDIS_URL")
_broker = urlsplit(REDIS_URL)
if _broker.scheme == "redis" and not _broker.password:
    raise ImproperlyConfigured(
        "REDIS_PASSWORD_FILE must name the file with Redis's password: "
        "whoever writes to the broker decides what the workers do."
    )

# --- Files -------------------------------------------------------------------------------------

MEDIA_ROOT = env.path("MEDIA_ROOT", VAR_DIR / "media")
STATIC_ROOT = env.path("STATIC_ROOT", BASE_DIR / "staticfiles")
STORAGES = {
    "default": {"BACKEND": "screening.studies.sealed_storage.SealedFileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

if FILE_ENCRYPTION != "off" and not env.has("ENCRYPTION_KEYS_DIR"):
    raise ImproperlyConfigured(
        "ENCRYPTION_KEYS_DIR must name the folder of the keys, on another disk than the files."
    )

# --- Mail --------------------------------------------------------------------------------------

# Without a mail server, invitations are shown to the admin who made them.
EMAIL_HOST = env.text("EMAIL_HOST", "")
EMAIL_PORT = env.integer("EMAIL_PORT", 587, low=1, high=65535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.secret("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.boolean("EMAIL_USE_TLS", True)
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", f"thorascreen@{ALLOWED_HOSTS[0].lstrip('.')}")
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if EMAIL_HOST
    else "django.core.mail.backends.dummy.EmailBackend"
)
