"""Makes the web role and the policies that bind it, after every ``migrate`` on PostgreSQL.

What stands in the database is compared with what the models declare (``row_rules``), so that
a ``migrate`` with nothing new touches, and locks, no table.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from screening.core.row_rules import BySite, Through, readable, rule_of, writable
from screening.core.row_security import OFF, role_is_usable, web_role

logger = logging.getLogger(__name__)

NAMES = ("portal_read", "portal_insert", "portal_update", "portal_delete")


@dataclass(frozen=True)
class Policies:
    """The four policies of one table; ``mark`` tells one version of them from the next."""

    table: str
    read: str
    write: str

    @property
    def mark(self) -> str:
        return hashlib.sha256(f"{self.read}\n{self.write}".encode()).hexdigest()[:32]

    def statements(self, role: str) -> Iterator[str]:
        table = self.table
        for name in NAMES:
            yield f"DROP POLICY IF EXISTS {name} ON {table}"
        to = f"ON {table} FOR %s TO {role}"
        yield f"CREATE POLICY portal_read {to % 'SELECT'} USING ({self.read})"
        yield f"CREATE POLICY portal_insert {to % 'INSERT'} WITH CHECK ({self.write})"
        yield (
            f"CREATE POLICY portal_update {to % 'UPDATE'} "
            f"USING ({self.write}) WITH CHECK ({self.write})"
        )
        yield f"CREATE POLICY portal_delete {to % 'DELETE'} USING ({self.write})"
        yield f"COMMENT ON POLICY portal_read ON {table} IS '{self.mark}'"
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"


def limited_models() -> list[type[Model]]:
    """The models whose rows a web request does not all see."""
    return [one for one in apps.get_models() if isinstance(rule_of(one), BySite | Through)]


def wanted_policies() -> dict[str, Policies]:
    """What has to stand in the database, by table."""
    found = {}
    for model in limited_models():
        table = model._meta.db_table
        found[table] = Policies(table, readable(model, table), writable(model, table))
    return found


def install_after_migrate(using: str, **kwargs: Any) -> None:
    """Bring role, rights and policies up to date. A flush is no migration and changes nothing."""
    connection = connections[using]
    if connection.vendor != "postgresql" or "plan" not in kwargs:
        return
    if settings.DATABASE_ROW_SECURITY != OFF:
        install(connection)


def install(connection: BaseDatabaseWrapper) -> None:
    """Make what is missing. Where the owner may not, the log says what to ask for."""
    role = connection.ops.quote_name(web_role(connection))
    if not role_is_usable(connection):
        try:
            with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
                cursor.execute(_MAKE_ROLE.format(role=role))
        except DatabaseError as error:
            logger.warning(
                "the role %s could not be made (%s). Let an administrator of the database run: %s",
                role,
                type(error).__name__,
                remedy(connection),
            )
            return
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        _give_rights(cursor, role)
        tables = set(connection.introspection.table_names(cursor))
        _take_rights(cursor, role, tables)
        standing = _standing(cursor)
        wanted = {table: one for table, one in wanted_policies().items() if table in tables}
        for table, policies in wanted.items():
            if standing.get(table) != policies.mark:
                for statement in policies.statements(role):
                    cursor.execute(statement)
        for table in standing.keys() - wanted.keys():
            for name in NAMES:
                cursor.execute(f"DROP POLICY IF EXISTS {name} ON {table}")
            cursor.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


def remedy(connection: BaseDatabaseWrapper) -> str:
    """The SQL by which an administrator of the database makes the role."""
    role = connection.ops.quote_name(web_role(connection))
    owner = connection.ops.quote_name(connection.connection.info.user)
    return f"CREATE ROLE {role} NOLOGIN; GRANT {role} TO {owner}; and then manage.py migrate"


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """The tables whose policies are not those that this version of the portal declares."""
    with connection.cursor() as cursor:
        standing = _standing(cursor)
    return sorted(t for t, one in wanted_policies().items() if standing.get(t) != one.mark)


_MAKE_ROLE = """
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- Another database's portal did.
END $$;
GRANT {role} TO CURRENT_USER;
"""


def _give_rights(cursor: Any, role: str) -> None:
    """Rights on every table there is and on those that later migrations of this owner make."""
    cursor.execute("SELECT current_schema()")
    (schema,) = cursor.fetchone()
    verbs = "SELECT, INSERT, UPDATE, DELETE"
    cursor.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    cursor.execute(f"GRANT {verbs} ON ALL TABLES IN SCHEMA {schema} TO {role}")
    cursor.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}")
    default = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT"
    cursor.execute(f"{default} {verbs} ON TABLES TO {role}")
    cursor.execute(f"{default} USAGE ON SEQUENCES TO {role}")


def _take_rights(cursor: Any, role: str, tables: set[str]) -> None:
    """Leave the role only the verbs that a model grants web requests in ``web_rights``.

    That names tables and what may be done with them: some are written by the database itself.
    """
    for model in apps.get_models():
        rights: dict[str, str] = getattr(model, "web_rights", {})
        for table, verbs in rights.items():
            if table in tables:
                cursor.execute(f"REVOKE ALL ON {table} FROM {role}")
                if verbs:
                    cursor.execute(f"GRANT {verbs} ON {table} TO {role}")


def _standing(cursor: Any) -> dict[str, str]:
    """The marks of the policies that stand, by table; empty for a table whose lock is open."""
    cursor.execute(
        "SELECT c.relname, CASE WHEN c.relrowsecurity "
        "THEN coalesce(obj_description(p.oid, 'pg_policy'), '') ELSE '' END "
        "FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid "
        "WHERE p.polname = 'portal_read' AND c.relnamespace = current_schema()::regnamespace"
    )
    return dict(cursor.fetchall())
