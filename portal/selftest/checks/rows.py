"""Whether the database itself keeps sites apart, should a filter in the program be forgotten."""

from __future__ import annotations

from django.db import connection

from portal.selftest.registry import Bench, Outcome, failed, not_applicable, passed, self_check
from screening.core.row_security import Reach, is_enforced, limited_to
from screening.patients.models import Patient


@self_check(
    "row-security",
    "The database keeps sites apart a second time",
    asvs=("V8.4", "V8.2"),
    hipaa=("164.312(a)(1)",),
    needs_scratch=True,
)
def rows_are_kept_apart(bench: Bench) -> Outcome:
    """Asks for every patient without a filter, as somebody of nowhere."""
    if connection.vendor != "postgresql":
        return not_applicable("SQLite cannot do that; PostgreSQL can.")
    if not is_enforced():
        return failed("Row-level security is off: the web role is missing, or was switched off.")
    everything = Patient.objects.count()
    with limited_to(Reach()):
        shown = Patient.objects.count()
    with limited_to(Reach(sites=frozenset({bench.scratch.north.pk}))):
        own = Patient.objects.count()
    if shown or not own:
        return failed(f"An unfiltered query shows {shown} of {everything} patients to strangers.")
    return passed(f"An unfiltered query shows 0 of {everything} patients to somebody of no site.")
