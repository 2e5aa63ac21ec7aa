"""Database triggers that make operating points append-only."""

from __future__ import annotations

from screening.core.closed_rows import ClosedRows

_CLOSED = ClosedRows(
    function="governance_siteoperatingpoint_refuse",
    message="operating points are append-only",
    tables={"governance_siteoperatingpoint": ""},
)
install = _CLOSED.install
drop = _CLOSED.drop
