"""What every deployment shape shares. The other modules of this package finish it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from portal.env import Env
from portal.paths import BASE_DIR
from portal.schedule import Every
from portal.settings.browsers import *
from portal.settings.logs import *
from portal.sign_on import read_sign_on

env = Env(os.environ)

# --- Where things live -------------------------------------------------------------------------

VAR_DIR: Path = env.path("THORASCREEN_VAR", BASE_DIR / "var")
MEDIA_ROOT: str | Path = VAR_DIR / "media"  # Private: no URL serves it, only views that check.
# New files are encrypted (``on``), and plain ones not even read any more (``required``).
FILE_ENCRYPTION = env.choice("FILE_ENCRYPTION", ("off", "on", "required"), "off")
ENCRYPTION_KEYS_DIR: Path = env.path("ENCRYPTION_KEYS_DIR", VAR_DIR / "keys")
BACKUP_TO = env.text("BACKUP_TO", "")  # A folder; empty: no backups by the clock.
BACKUP_SEALING_KEY = env.text("BACKUP_SEALING_KEY", "")
BACKUP_KEEP = env.integer("BACKUP_KEEP", 7, low=0, high=10_000)  # 0: all.
BACKUP_HOUR = env.integer("BACKUP_HOUR", 2, low=0, high=23)  # UTC
LEAST_FREE_MB = env.integer("LEAST_FREE_MB", 200, low=0, high=10**9)  # Less is a full disk.
STATIC_ROOT: Path = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_URL = "/static/"
FILE_UPLOAD_TEMP_DIR: str | None = None  # Set beside the media folder where VAR_DIR is ours.
FILE_UPLOAD_HANDLERS = [
    # First, so that a file over the limit is dropped while it arrives, whatever the entrance.
    "screening.studies.uploads.SizeLimitHandler",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

# --- Django ------------------------------------------------------------------------------------

DEBUG = False
ALLOWED_HOSTS: list[str] = []
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
ASGI_APPLICATION = "portal.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["portal.formats"]
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "portal.apps.PortalConfig",
    "screening.core.apps.CoreConfig",
    "screening.audit.apps.AuditConfig",
    "screening.accounts.apps.AccountsConfig",
    "screening.patients.apps.PatientsConfig",
    "screening.studies.apps.StudiesConfig",
    "screening.inference.apps.InferenceConfig",
    "screening.governance.apps.GovernanceConfig",
    "screening.reading.apps.ReadingConfig",
    "screening.worklist.apps.WorklistConfig",
    "screening.emergency.apps.EmergencyConfig",
    "screening.record.apps.RecordConfig",
    "screening.report.apps.ReportConfig",
    "screening.insight.apps.InsightConfig",
    "screening.sharing.apps.SharingConfig",
    "screening.retention.apps.RetentionConfig",
    "screening.oversight.apps.OversightConfig",
    "screening.backup.apps.BackupConfig",
]

SECURITY_CONTACT = env.text("SECURITY_CONTACT", "")  # mailto:… or https://…

MIDDLEWARE = [
    "portal.middleware.RequestIdMiddleware",
    "portal.middleware.ClientAddressMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.middleware.SecurityHeadersMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "portal.middleware.RequestSizeMiddleware",
    "screening.core.middleware.RowSecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "portal.middleware.SessionRenewalMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Default deny: a view that anonymous people may see says so with ``login_not_required``.
    "screening.accounts.middleware.SignInRequiredMiddleware",
    "screening.audit.middleware.RequestContextMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "screening.accounts.middleware.ActiveMembershipMiddleware",
    "screening.accounts.middleware.SecondFactorMiddleware",
    "screening.emergency.middleware.EmergencyMiddleware",
    "screening.accounts.middleware.PreferencesMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "screening.core.middleware.PortalErrorMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# Per process and small: nothing may rely on two processes seeing the same cache.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# 25 MB a file is the intake gate's rule; one request may carry several files.
MAX_REQUEST_BYTES = env.integer("MAX_REQUEST_MB", 256, low=26, high=4096) * 1024 * 1024
PROXIES = env.integer("PROXIES", 0, low=0, high=5)  # In front of us, appending X-Forwarded-For.
DATA_UPLOAD_MAX_NUMBER_FILES = 200

UPLOADS_PER_HOUR = env.integer("UPLOADS_PER_HOUR", 5000, low=0, high=10**9)  # A person; 0: no end.
UPLOAD_MB_PER_HOUR = env.integer("UPLOAD_MB_PER_HOUR", 50_000, low=0, high=10**9)
# Files of others are opened in processes of their own (``studies.decoder``), so many for each
# process of the web server and of the worker. Twenty bytes a pixel are needed at most.
DECODERS = env.integer("DECODERS", 1, low=1, high=16)
DECODE_TIMEOUT_S = env.seconds("DECODE_TIMEOUT_S", 20)
DECODER_MEMORY_MB = env.integer("DECODER_MEMORY_MB", 2048, low=512, high=65_536)

# --- People ------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "accounts:login"
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# django-allauth carries a sign-in through its stages, and keeps second factors. Accounts come from
# invitations alone; its pages are not in the URLconf, its letters and its limits (which live in
# the cache, so in one process) are not used: ours stand in ``screening.accounts``.
ACCOUNT_ADAPTER = "screening.accounts.adapters.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
ACCOUNT_LOGIN_TIMEOUT = 10 * 60  # Between the password and the second factor.
MFA_ADAPTER = "screening.accounts.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_TOLERANCE = 1
MFA_ALLOW_UNVERIFIED_EMAIL = True  # Addresses come from the admin who invited the person.
SOCIALACCOUNT_ADAPTER = "screening.accounts.adapters.OutsideAccountAdapter"
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}  # None: signing in elsewhere is off.
KNOWN_DEVICE_COOKIE_NAME = "known_device"
SIGN_ON = read_sign_on(env)  # The identity provider; None where there is none.
RECENT_SIGN_IN_S = 5 * 60  # For how long a proof of identity opens dangerous acts.

TOKEN_MAX_DAYS = env.integer("TOKEN_MAX_DAYS", 365, low=1, high=3650)  # the life of an API token
EMAIL_HOST = ""  # No mail server: invitation and reset links are shown to the admin instead.
PASSWORD_RESET_TIMEOUT = 24 * 60 * 60  # seconds

# A session ends half an hour after the last request (``portal.middleware`` renews it), and
# ``SESSION_HARD_AGE_S`` after signing in, whatever happens.
SESSION_ENGINE = "screening.accounts.session_store"
SESSION_COOKIE_AGE = env.integer("SESSION_IDLE_MINUTES", 30, low=1, high=24 * 60) * 60
SESSION_HARD_AGE_S = env.integer("SESSION_HARD_HOURS", 12, low=1, high=168) * 60 * 60
SESSION_WARN_S = 60  # So long before the end the page asks whether anybody is there.
SESSION_RENEW_AFTER_S = 60  # A page of thirty pictures must not write its session thirty times.
SESSION_QUIET_VIEWS = frozenset(  # Asked by pages, not by people.
    {
        "accounts:session_state",
        "record:study_state",
        "worklist:rows",
        "worklist:presence",
        "worklist:bell",
        "sharing:state",
    }
)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True  # Pages carry the token in their markup; no script reads the cookie.
CSRF_COOKIE_SAMESITE = "Lax"

# --- Site isolation in the database --------------------------------------------------------------

# PostgreSQL only. ``on``: where the owner may not make the role, the portal works without it and
# says so; ``required``: it answers nothing then.
DATABASE_ROW_SECURITY = env.choice("DATABASE_ROW_SECURITY", ("on", "required", "off"), "on")
DATABASE_WEB_ROLE = env.text("DATABASE_WEB_ROLE", "")  # Empty: the owner's name with _web.

# --- Emergencies -----------------------------------------------------------------------------

EMERGENCY_ACCESS_HOURS = env.integer("EMERGENCY_ACCESS_HOURS", 4, low=1, high=24)

# --- The API -----------------------------------------------------------------------------------

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "screening.accounts.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["portal.api.DenyUnlessDeclared"],
    "DEFAULT_PARSER_CLASSES": [
        "screening.core.parsers.JSONParser",
        "rest_framework.parsers.MultiPartParser",
        "rest_framework.parsers.FormParser",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "screening.core.api.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "ThoraScreen",
    "DESCRIPTION": (
        "Chest X-ray screening: patients, studies and what the model sees in them. "
        "Every answer that is not a success has the form {code, message}. "
        "Results are decision support, not a diagnosis."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": ["screening.accounts.api_permissions.SignedIn"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False},
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {"LabelEnum": "screening.inference.models.Label"},
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "portal.api_schema.describe_refusals",
    ],
}

# --- The audit ---------------------------------------------------------------------------------

# Where the heads of its chains are kept outside the database (``screening.audit.anchors``).
AUDIT_ANCHORS: str | Path = env.path("AUDIT_ANCHORS", VAR_DIR / "anchors")
AUDIT_WEBHOOK = env.https("AUDIT_WEBHOOK")
AUDIT_WEBHOOK_KEY = env.secret("AUDIT_WEBHOOK_KEY", "")
AUDIT_WEBHOOK_CA = env.text("AUDIT_WEBHOOK_CA", "")  # A file of certificates; empty: the system's.
if AUDIT_WEBHOOK and len(AUDIT_WEBHOOK_KEY) < 32:
    raise ImproperlyConfigured(
        "AUDIT_WEBHOOK_KEY_FILE must name a file with a key of at least 32 characters."
    )

# --- Inference ---------------------------------------------------------------------------------

# soft limit < hard limit < lease <= visibility timeout; ``portal.checks`` refuses another order.
# A job that outlives its lease is taken for dead and sent again; a message that outlives the
# visibility timeout is delivered a second time although the first is still being worked on.
INFERENCE_SOFT_LIMIT_S = env.seconds("INFERENCE_SOFT_LIMIT_S", 20)
INFERENCE_HARD_LIMIT_S = env.seconds("INFERENCE_HARD_LIMIT_S", 30)
INFERENCE_LEASE_S = env.seconds("INFERENCE_LEASE_S", 45)
BROKER_VISIBILITY_TIMEOUT_S = env.seconds("BROKER_VISIBILITY_TIMEOUT_S", 120)
INFERENCE_MAX_ATTEMPTS = env.integer("INFERENCE_MAX_ATTEMPTS", 3, low=1, high=20)
INFERENCE_RETRY_BASE_S = env.seconds("INFERENCE_RETRY_BASE_S", 2)
INFERENCE_RESEND_AFTER_S = env.seconds("INFERENCE_RESEND_AFTER_S", 10)
INFERENCE_SWEEP_EVERY_S = env.seconds("INFERENCE_SWEEP_EVERY_S", 5)
INFERENCE_RUNTIME = env.choice("RUNTIME", ("litert", "keras"), "litert")
THORASCREEN_MODEL = env.text("THORASCREEN_MODEL", "")  # A package's folder; empty: the shipped one.
THORASCREEN_MODELS = env.text("THORASCREEN_MODELS", "")  # A folder of further packages.

# --- Keeping and giving out --------------------------------------------------------------------

EXPORT_KEPT_DAYS = env.integer("EXPORT_KEPT_DAYS", 7, low=1, high=90)
# Beside the database and outside its backups: what a restored backup brings back goes again.
ERASURE_LIST: Path = env.path("ERASURE_LIST", VAR_DIR / "erasures.jsonl")

# --- Celery ------------------------------------------------------------------------------------

REDIS_URL = ""  # Each shape sets it, and CELERY_BROKER_URL with it.
CELERY_BROKER_URL = ""
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # A worker waits for its broker for ever.
CELERY_BROKER_CONNECTION_TIMEOUT = 1.0
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": BROKER_VISIBILITY_TIMEOUT_S,
    "socket_connect_timeout": 1.0,  # A web request must not hang when Redis is away.
    # Nor when Redis is there and stands still; workers are given longer (``portal.celery``).
    "socket_timeout": 2.0,
    "health_check_interval": 10,
    # How often abandoned messages are looked for. The default is every 10th of every 10 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}
CELERY_TASK_PUBLISH_RETRY = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in ("default", "inference", "shadow")]
CELERY_TASK_ROUTES = ("screening.core.tasks.route_task",)
CELERY_TASK_CREATE_MISSING_QUEUES = False  # A misspelt queue is an error, not a silent new one.
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TRACK_STARTED = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_SOFT_TIME_LIMIT = INFERENCE_SOFT_LIMIT_S
CELERY_TASK_TIME_LIMIT = INFERENCE_HARD_LIMIT_S
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = env.integer("WORKER_CONCURRENCY", 2, low=1, high=256)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# A worker process that compiles its model on a loaded machine needs longer than the usual 4 s.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 60.0
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "sweep-jobs": {
        "task": "inference.sweep_jobs",
        "schedule": Every(INFERENCE_SWEEP_EVERY_S),
        # A message that waited longer than this is worth nothing: the next one is on its way.
        "options": {"expires": 3 * INFERENCE_SWEEP_EVERY_S},
    },
    "sweep-orphans": {
        "task": "studies.sweep_orphans",
        "schedule": crontab(minute="17"),
        "options": {"expires": 3600},
    },
    "send-due-letters": {
        "task": "worklist.send_due_letters",
        "schedule": crontab(minute="*/5"),
        "options": {"expires": 300},
    },
    "forget-old-notifications": {
        "task": "worklist.forget_old_notifications",
        "schedule": crontab(minute="23", hour="3"),
        "options": {"expires": 12 * 3600},
    },
    "roll-up-figures": {
        "task": "insight.roll_up",
        "schedule": crontab(minute="*/5"),
        "options": {"expires": 280},
    },
    "sweep-exports": {
        "task": "sharing.sweep_exports",
        "schedule": crontab(minute="*/2"),
        "options": {"expires": 110},
    },
    "keep-anchors": {
        "task": "oversight.keep_anchors",
        "schedule": crontab(minute="7"),
        "options": {"expires": 3600},
    },
    "verify-audit": {
        "task": "oversight.verify",
        "schedule": crontab(minute="31", hour="2"),
        "options": {"expires": 12 * 3600},
    },
    "verify-whole-audit": {
        "task": "oversight.verify_all",
        "schedule": crontab(minute="41", hour="2", day_of_week="sun"),
        "options": {"expires": 12 * 3600},
    },
    "apply-retention": {
        "task": "retention.apply",
        "schedule": crontab(minute="*/10"),
        "options": {"expires": 500},
    },
    "clear-expired": {
        "task": "accounts.clear_expired",
        "schedule": crontab(minute="41", hour="3"),
        "options": {"expires": 12 * 3600},
    },
}

if BACKUP_TO:
    CELERY_BEAT_SCHEDULE["make-backup"] = {
        "task": "backup.start",
        "schedule": crontab(minute="11", hour=str(BACKUP_HOUR)),
        "options": {"expires": 3600},
    }
