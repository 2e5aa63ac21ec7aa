"""A scratch portal: the installed code and settings, with nothing in it and nothing to lose.

The database is made beside the installed one (on SQLite a file in a temporary folder, on
PostgreSQL a database whose name begins with ``selftest_``) by the machinery with which Django makes
databases for tests, and removed at the end. A run that was killed leaves no rows anywhere: its
folder is in the system's temporary place, and the next run replaces its database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connections
from django.test import override_settings

from portal.celery import app as celery

_ELSEWHERE = "django.core.mail.backends.locmem.EmailBackend"


class NoScratch(Exception):
    """The scratch portal could not be made; the message says why."""


@contextmanager
def scratch_portal(folder: Path) -> Iterator[None]:
    """Inside the block the process's database, files, mail and broker are throw-away ones."""
    connection = connections["default"]
    installed = str(connection.settings_dict["NAME"])
    connection.settings_dict["TEST"] = {
        **connection.settings_dict.get("TEST", {}),
        "NAME": _name(connection, folder, installed),
    }
    broker = celery.conf.broker_url
    with override_settings(MEDIA_ROOT=str(folder / "media"), EMAIL_BACKEND=_ELSEWHERE):
        try:
            connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        except SystemExit:  # Django's way to say that it may not
            connection.settings_dict["NAME"] = installed
            raise NoScratch(
                "The database user may not make a database. Let it (ALTER ROLE … CREATEDB), or run "
                "the self-test with DATABASE_URL of a user who may."
            ) from None
        celery.conf.update(broker_url="memory://")
        try:
            yield
        finally:
            celery.conf.update(broker_url=broker)
            connections.close_all()
            connection.creation.destroy_test_db(installed, verbosity=0)


def _name(connection: Any, folder: Path, installed: str) -> str:
    if connection.vendor == "sqlite":
        return str(folder / "scratch.sqlite3")
    return f"selftest_{installed}"[:63]
