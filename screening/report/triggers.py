"""Database triggers that keep issued reports as they were issued."""

from __future__ import annotations

from screening.core.closed_rows import ClosedRows
from screening.patients.triggers import ERASURES, erasing_study

_CLOSED = ClosedRows(
    function="report_refuse",
    message="issued reports are never changed",
    tables={"report_report": "", "report_withdrawal": ""},
    opened={
        "report_report": erasing_study("OLD.study_id"),
        "report_withdrawal": erasing_study(
            "(SELECT r.study_id FROM report_report r WHERE r.id = OLD.report_id)"
        ),
    },
    asks=ERASURES,
)
install = _CLOSED.install
drop = _CLOSED.drop
