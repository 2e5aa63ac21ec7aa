"""Database triggers that refuse to change rows which are closed, on SQLite and PostgreSQL.

Whatever writes to the database, even past the services, meets them. SQLite alters a table by making
it anew, without its triggers: a migration that alters a closed table has to install them again at
its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ClosedRows:
    """``tables`` maps a table to which of its rows are closed: a condition on the row before the
    change (``OLD``), empty for all. ``function`` is the name of PostgreSQL's trigger function,
    ``message`` what the database answers. All are ours and written into SQL as they are.

    ``opened`` is the one way through: a condition on ``OLD`` under which a row of that table may
    be removed, though never changed. It may ask the table ``asks``; before that table exists the
    rows are closed without exception.
    """

    function: str
    message: str
    tables: Mapping[str, str]
    opened: Mapping[str, str] = field(default_factory=dict)
    asks: str = ""

    def install(self, connection: Any) -> None:
        """Create the triggers on the given database connection; harmless when they exist."""
        with connection.cursor() as cursor:
            is_there = self.asks in connection.introspection.table_names(cursor)
            opened = self.opened if is_there else {}
            if connection.vendor == "postgresql":
                cursor.execute(
                    f"CREATE OR REPLACE FUNCTION {self.function}() RETURNS trigger AS $$ "
                    f"BEGIN RAISE EXCEPTION '{self.message}'; END; $$ LANGUAGE plpgsql"
                )
            for table, closed in self.tables.items():
                if connection.vendor == "postgresql":
                    when = f"WHEN ({closed})" if closed else ""
                    function = self.function
                    if table in opened:
                        function = f"{table}_refuse"
                        cursor.execute(
                            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger AS $$ BEGIN "
                            f"IF TG_OP = 'DELETE' AND {opened[table]} THEN RETURN OLD; END IF; "
                            f"RAISE EXCEPTION '{self.message}'; END; $$ LANGUAGE plpgsql"
                        )
                    cursor.execute(
                        f"CREATE OR REPLACE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE "
                        f"ON {table} FOR EACH ROW {when} EXECUTE FUNCTION {function}()"
                    )
                    if not closed:  # TRUNCATE passes by the triggers of rows.
                        cursor.execute(
                            f"CREATE OR REPLACE TRIGGER {table}_no_truncate BEFORE TRUNCATE "
                            f"ON {table} EXECUTE FUNCTION {self.function}()"
                        )
                    continue
                for verb in ("update", "delete"):
                    conditions = [f"({closed})"] if closed else []
                    if verb == "delete" and table in opened:
                        conditions.append(f"NOT {opened[table]}")
                    when = f"WHEN {' AND '.join(conditions)}" if conditions else ""
                    cursor.execute(
                        f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb} BEFORE {verb} ON {table} "
                        f"{when} BEGIN SELECT RAISE(ABORT, '{self.message}'); END"
                    )

    def drop(self, connection: Any) -> None:
        """Remove the triggers: for reversing the migration and for emptying a test database."""
        with connection.cursor() as cursor:
            for table in self.tables:
                if connection.vendor == "postgresql":
                    for what in ("change", "truncate"):
                        cursor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{what} ON {table}")
                    continue
                for verb in ("update", "delete"):
                    cursor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{verb}")
