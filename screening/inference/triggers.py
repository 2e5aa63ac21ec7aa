"""Database triggers that make the record of activations append-only."""

from __future__ import annotations

from screening.core.closed_rows import ClosedRows

_CLOSED = ClosedRows(
    function="inference_activation_refuse",
    message="activations are append-only",
    tables={"inference_activation": ""},
)
install = _CLOSED.install
drop = _CLOSED.drop
