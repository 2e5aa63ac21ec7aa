"""Database triggers that keep signed words as they were signed.

A first impression, an addendum and a turn of the blind-first switch can't be changed at all, a
reading not once it is signed, and a discrepancy not once it is resolved. They go with their
patient, when the patient is erased (``patients.triggers``).
"""

from __future__ import annotations

from screening.core.closed_rows import ClosedRows
from screening.patients.triggers import ERASURES, erasing_study

_CLOSED = ClosedRows(
    function="reading_refuse",
    message="signed words are never changed",
    tables={
        "reading_firstimpression": "",
        "reading_addendum": "",
        "reading_blindfirstswitch": "",
        "reading_reading": "OLD.signed_at IS NOT NULL",
        "reading_discrepancy": "OLD.resolved_at IS NOT NULL",
    },
    opened={
        "reading_reading": erasing_study("OLD.study_id"),
        **dict.fromkeys(
            ("reading_firstimpression", "reading_addendum", "reading_discrepancy"),
            erasing_study("(SELECT r.study_id FROM reading_reading r WHERE r.id = OLD.reading_id)"),
        ),
    },
    asks=ERASURES,
)
install = _CLOSED.install
drop = _CLOSED.drop
