"""The checks. The report has them in the order of ``IN_ORDER``."""

from portal.selftest.checks import (
    audit,
    backup,
    configuration,
    encryption,
    headers,
    latency,
    model,
    permissions,
    rows,
    transport,
    uploads,
)

IN_ORDER = (
    configuration,
    transport,
    headers,
    permissions,
    rows,
    uploads,
    audit,
    encryption,
    model,
    latency,
    backup,  # The last: it puts the scratch portal's database in another's place.
)
