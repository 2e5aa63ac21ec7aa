"""Typed readers of environment variables and secret files.

A value that does not make sense stops the start with the variable's name, because a portal
that guesses what an operator meant is worse than one that does not start.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
POSTGRES_SCHEMES = frozenset({"postgres", "postgresql"})
POSTGRES_OPTIONS = frozenset(
    {"sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "target_session_attrs"}
)


class Env:
    """Reads settings out of ``source`` (usually ``os.environ``).

    An empty value counts as absent: compose files and unit files set variables to nothing
    when they mean "not given". Every method raises ``ImproperlyConfigured`` that names the
    variable, and never repeats the value of a secret.
    """

    def __init__(self, source: Mapping[str, str]) -> None:
        self._source = source

    def has(self, name: str) -> bool:
        """Whether ``name`` is set to something."""
        return bool(self._source.get(name, "").strip())

    def text(self, name: str, default: str | None = None) -> str:
        """The value as text; without ``default`` it must be there."""
        value = self._source.get(name, "").strip()
        if value:
            return value
        if default is None:
            raise ImproperlyConfigured(f"{name} must be set.")
        return default

    def boolean(self, name: str, default: bool | None = None) -> bool:
        """The value as a truth value; only 1/0, true/false, yes/no and on/off are understood."""
        if default is not None and not self.has(name):
            return default
        value = self.text(name).lower()
        if value in TRUE_WORDS:
            return True
        if value in FALSE_WORDS:
            return False
        raise ImproperlyConfigured(f"{name} must be one of true, false; it is {value!r}.")

    def integer(
        self,
        name: str,
        default: int | None = None,
        *,
        low: int | None = None,
        high: int | None = None,
    ) -> int:
        """The value as a whole number between ``low`` and ``high``, both allowed."""
        if default is not None and not self.has(name):
            return default
        value = self.text(name)
        try:
            number = int(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name} must be a whole number; it is {value!r}.") from None
        if (low is not None and number < low) or (high is not None and number > high):
            raise ImproperlyConfigured(
                f"{name} must lie between {low if low is not None else 'any'} and "
                f"{high if high is not None else 'any'}; it is {number}."
            )
        return number

    def seconds(self, name: str, default: float) -> float:
        """The value as a positive number of seconds."""
        if not self.has(name):
            return default
        value = self.text(name)
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            raise ImproperlyConfigured(
                f"{name} must be a positive number of seconds; it is {value!r}."
            )
        return number

    def choice(self, name: str, options: tuple[str, ...], default: str) -> str:
        """The value, which must be one of ``options``."""
        value = self.text(name, default)
        if value not in options:
            raise ImproperlyConfigured(
                f"{name} must be one of {', '.join(options)}; it is {value!r}."
            )
        return value

    def words(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """A comma-separated list without empty members."""
        if not self.has(name):
            return list(default)
        return [word.strip() for word in self.text(name).split(",") if word.strip()]

    def path(self, name: str, default: Path) -> Path:
        """An absolute path; ``~`` is understood."""
        return Path(self.text(name, str(default))).expanduser().absolute()

    def https(self, name: str) -> str:
        """An address that begins with ``https://`` and names a host; empty where none is given."""
        value = self.text(name, "")
        parts = urlsplit(value)
        if value and (parts.scheme != "https" or not parts.hostname):
            raise ImproperlyConfigured(f"{name} must begin with https:// and name a host.")
        return value

    def secret(self, name: str, default: str | None = None) -> str:
        """A secret: from the file that ``<name>_FILE`` names (best), or from ``name`` itself."""
        file_name = f"{name}_FILE"
        if self.has(name) and self.has(file_name):
            raise ImproperlyConfigured(f"Set {name} or {file_name}, not both.")
        if not self.has(file_name):
            return self.text(name, default)
        try:
            value = Path(self.text(file_name)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(
                f"{file_name} names a file that cannot be read: {type(error).__name__}."
            ) from None
        if not value:
            raise ImproperlyConfigured(f"{file_name} names an empty file.")
        return value


def with_password(url: str, password: str, *, name: str) -> str:
    """Put ``password`` into ``url`` where it has none; ``name`` is the variable that gave it."""
    parts = urlsplit(url)
    if not password:
        return url
    if parts.password:
        raise ImproperlyConfigured(f"{name} already contains a password; give it only once.")
    user = parts.username or ""
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()


def postgres_from_url(url: str, *, name: str, password: str = "") -> dict[str, Any]:
    """Turn ``postgresql://user@host:port/database?sslmode=…`` into a Django database entry.

    ``password`` comes from a secret file; a password inside the URL works too. Options other
    than those of ``POSTGRES_OPTIONS`` are refused, since a misspelt ``sslmode`` would otherwise
    be an unencrypted connection.
    """
    parts = urlsplit(url)
    if parts.scheme not in POSTGRES_SCHEMES:
        raise ImproperlyConfigured(
            f"{name} must begin with postgresql://; it begins with {parts.scheme or 'nothing'!r}."
        )
    database = unquote(parts.path.lstrip("/"))
    if not database:
        raise ImproperlyConfigured(f"{name} must end with the name of a database.")
    if parts.password and password:
        raise ImproperlyConfigured(f"{name} already contains a password; give it only once.")
    try:
        port = str(parts.port or "")
    except ValueError:
        raise ImproperlyConfigured(f"{name} has a port that is not a number.") from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    host = options.pop("host", None) or unquote(parts.hostname or "")
    unknown = sorted(set(options) - POSTGRES_OPTIONS)
    if unknown:
        raise ImproperlyConfigured(f"{name} has options that are not known: {', '.join(unknown)}.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database,
        "USER": unquote(parts.username or ""),
        "PASSWORD": password or unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        "OPTIONS": {"connect_timeout": 5, **options},
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def celery_broker_url(redis_url: str, *, name: str) -> str:
    """The same Redis, spelt as Celery wants it: ``unix://`` becomes ``redis+socket://``."""
    parts = urlsplit(redis_url)
    if parts.scheme in ("redis", "rediss"):
        if not parts.hostname:
            raise ImproperlyConfigured(f"{name} must name a host.")
        return redis_url
    if parts.scheme == "unix" and parts.path:
        options = dict(parse_qsl(parts.query))
        database = options.get("db", "0")
        return f"redis+socket://{parts.path}?virtual_host={database}"
    raise ImproperlyConfigured(
        f"{name} must begin with redis://, rediss:// or unix://; "
        f"it begins with {parts.scheme or 'nothing'!r}."
    )
