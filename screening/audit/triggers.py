"""What the database itself does to the audit: it closes its rows, and chains them.

**Closed.** Nothing changes or removes an event or its place in the chain.

**Chained.** An event gets its place in the chain of its site when the transaction that recorded it
commits, and only then, so that the end of a chain is locked for the length of a commit and not of
a transaction. On PostgreSQL this takes two deferred triggers. The first notes the event in
``audit_pending``; the second, fired by that note, comes after every deferred check of the
transaction. With one alone a commit could hold the chain while it waits for a row to check a
foreign key, and the holder of that row wait for the chain. The second handles all notes of its
transaction at once, chain by chain in one order, so that two commits which touch two chains cannot
wait for each other either. Notes carry the transaction's number: among thousands of dead rows
an index leads to one's own. Both functions run with the rights of their owner, so that the portal's
own role needs no right to write ``audit_link``. SQLite knows one writer at a time; there one
trigger does it at once, with the ``SHA256`` that Django gives every connection, and a program
that lacks it cannot insert an event.
"""

from __future__ import annotations

from typing import Any

from screening.core.closed_rows import ClosedRows


def _closed(*tables: str) -> ClosedRows:
    return ClosedRows(
        function="audit_event_refuse",
        message="audit events are append-only",
        tables=dict.fromkeys(tables, ""),
    )


_CLOSED = _closed("audit_event", "audit_link")
# As the table stood before there was a chain; for the first migrations.
close_events = _closed("audit_event").install
open_events = _closed("audit_event").drop

_POSTGRES = """
CREATE UNLOGGED TABLE IF NOT EXISTS audit_pending (
    transaction_id bigint NOT NULL,
    event_id bigint NOT NULL,
    chain uuid NOT NULL,
    digest text NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_pending_own ON audit_pending (transaction_id);

CREATE OR REPLACE FUNCTION audit_note() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    INSERT INTO audit_pending
    VALUES (
        txid_current(), NEW.id,
        coalesce(NEW.site_id, '00000000-0000-0000-0000-000000000000'), NEW.digest
    );
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION audit_chain() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    place uuid;
    note record;
    number bigint;
    last text;
    current text;
BEGIN
    FOR place IN
        SELECT DISTINCT chain FROM audit_pending WHERE transaction_id = txid_current()
        ORDER BY chain
    LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('audit chain ' || place, 0));
        SELECT sequence, hash INTO number, last FROM audit_link
        WHERE chain = place ORDER BY sequence DESC LIMIT 1;
        IF NOT FOUND THEN
            number := 0;
            last := repeat('0', 64);
        END IF;
        FOR note IN
            SELECT event_id, digest FROM audit_pending
            WHERE transaction_id = txid_current() AND chain = place ORDER BY event_id
        LOOP
            number := number + 1;
            current := encode(sha256(convert_to(last || note.digest, 'UTF8')), 'hex');
            INSERT INTO audit_link (event_id, chain, sequence, previous, hash)
            VALUES (note.event_id, place, number, last, current);
            last := current;
        END LOOP;
    END LOOP;
    DELETE FROM audit_pending WHERE transaction_id = txid_current();
    RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS audit_event_note ON audit_event;
CREATE CONSTRAINT TRIGGER audit_event_note AFTER INSERT ON audit_event
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_note();
DROP TRIGGER IF EXISTS audit_pending_chain ON audit_pending;
CREATE CONSTRAINT TRIGGER audit_pending_chain AFTER INSERT ON audit_pending
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_chain();
"""

# UUIDs are kept without hyphens here. The zeros are ``models.NO_SITE`` and
# ``models.BEFORE_THE_FIRST``.
_SQLITE = """
CREATE TRIGGER IF NOT EXISTS audit_event_chain AFTER INSERT ON audit_event
BEGIN
    INSERT INTO audit_link (event_id, chain, sequence, previous, hash)
    SELECT NEW.id, chain, sequence + 1, hash, SHA256(hash || NEW.digest)
    FROM (
        SELECT chain, sequence, hash FROM audit_link
        WHERE chain = coalesce(NEW.site_id, '00000000000000000000000000000000')
        UNION ALL
        SELECT
            coalesce(NEW.site_id, '00000000000000000000000000000000'),
            0,
            '0000000000000000000000000000000000000000000000000000000000000000'
        ORDER BY sequence DESC LIMIT 1
    );
END
"""


def install(connection: Any) -> None:
    """Create the triggers on the given database connection; harmless when they exist."""
    _CLOSED.install(connection)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT quote_ident(current_schema())")
            cursor.execute(_POSTGRES.format(schema=cursor.fetchone()[0]))
        else:
            cursor.execute(_SQLITE)


def drop(connection: Any) -> None:
    """Let rows be changed: for migrations that must, and for emptying a test database."""
    _CLOSED.drop(connection)


def drop_chain(connection: Any) -> None:
    """Stop chaining new events: for reversing the migration, and for restoring a copy."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "DROP TRIGGER IF EXISTS audit_event_note ON audit_event;"
                "DROP TABLE IF EXISTS audit_pending;"
                "DROP FUNCTION IF EXISTS audit_note();"
                "DROP FUNCTION IF EXISTS audit_chain()"
            )
        else:
            cursor.execute("DROP TRIGGER IF EXISTS audit_event_chain")
