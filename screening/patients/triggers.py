"""Database triggers around holds and erasures, and the one way through all closed rows.

Signed readings and issued reports can't be removed, whoever asks. A patient who is to be erased is
the exception, and it has to be as narrow as it can: the row of an ``Erasure`` opens the closed rows
of its patient for removal, nobody else's and not for change, and only until its certificate is
written. Such a row can't be made while the patient is under legal hold, nor without the audit's
event that names it, and it can't be taken away again: whoever uses it has left a trace.
"""

# ruff: noqa: S608  (no value from outside reaches this SQL)
from __future__ import annotations

from typing import Any, Final

from screening.core.closed_rows import ClosedRows

ERASURES: Final = "patients_erasure"


def erasing_patient(patient: str) -> str:
    """The condition that the patient with the key ``patient`` (SQL) is being erased."""
    return (
        f"EXISTS (SELECT 1 FROM {ERASURES} e WHERE e.patient_id = {patient} AND NOT EXISTS "
        "(SELECT 1 FROM patients_erasurecertificate c WHERE c.erasure_id = e.id))"
    )


def erasing_study(study: str) -> str:
    """The same for the patient of the study with the key ``study`` (SQL)."""
    return erasing_patient(f"(SELECT s.patient_id FROM studies_study s WHERE s.id = {study})")


_CLOSED = ClosedRows(
    function="patients_refuse",
    message="erasures and lifted holds are never changed",
    tables={
        ERASURES: "",
        "patients_erasurecertificate": "",
        "patients_legalhold": "OLD.lifted_at IS NOT NULL",
    },
    opened={"patients_legalhold": erasing_patient("OLD.patient_id")},
    asks=ERASURES,
)
_HELD = "the patient is under legal hold"
_SILENT = "an erasure needs its event in the audit"


def install(connection: Any) -> None:
    """Create the triggers; harmless when they exist."""
    _CLOSED.install(connection)
    held = (
        "EXISTS (SELECT 1 FROM patients_legalhold h "
        "WHERE h.patient_id = NEW.patient_id AND h.lifted_at IS NULL)"
    )
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE OR REPLACE FUNCTION patients_erasure_check() RETURNS trigger AS $$ BEGIN "
                f"IF {held} THEN RAISE EXCEPTION '{_HELD}'; END IF; "
                "IF NOT EXISTS (SELECT 1 FROM audit_event a WHERE a.object_type = 'erasure' "
                "AND a.object_id = NEW.id::text) "
                f"THEN RAISE EXCEPTION '{_SILENT}'; END IF; "
                "RETURN NEW; END; $$ LANGUAGE plpgsql"
            )
            cursor.execute(
                f"CREATE OR REPLACE TRIGGER {ERASURES}_check BEFORE INSERT ON {ERASURES} "
                "FOR EACH ROW EXECUTE FUNCTION patients_erasure_check()"
            )
            return
        # SQLite keeps keys as 32 digits, the audit writes them with hyphens.
        parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        key = " || '-' || ".join(f"substr(NEW.id, {start}, {size})" for start, size in parts)
        cursor.execute(
            f"CREATE TRIGGER IF NOT EXISTS {ERASURES}_held BEFORE INSERT ON {ERASURES} "
            f"WHEN {held} BEGIN SELECT RAISE(ABORT, '{_HELD}'); END"
        )
        cursor.execute(
            f"CREATE TRIGGER IF NOT EXISTS {ERASURES}_audited BEFORE INSERT ON {ERASURES} "
            "WHEN NOT EXISTS (SELECT 1 FROM audit_event a WHERE a.object_type = 'erasure' "
            f"AND a.object_id = {key}) BEGIN SELECT RAISE(ABORT, '{_SILENT}'); END"
        )


def drop(connection: Any) -> None:
    """Remove them: for reversing the migration and for emptying a test database."""
    _CLOSED.drop(connection)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"DROP TRIGGER IF EXISTS {ERASURES}_check ON {ERASURES}")
            return
        for name in ("held", "audited"):
            cursor.execute(f"DROP TRIGGER IF EXISTS {ERASURES}_{name}")
