"""The public page: is a report genuine and current? Shows nothing of the patient.

Whoever asks is not signed in, so the only key is the code on the report, which nobody can guess.
An address that asks too often is told to wait: a soft limit, counted by each process for itself,
that keeps the audit record from being flooded. A code that does not exist leaves no row there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.core.cache import cache
from django.utils.translation import gettext as _

from screening.audit.context import current_origin
from screening.audit.services import record
from screening.core.errors import PortalError
from screening.report import codes, selectors
from screening.report.selectors import IssuedReport

ASKS_A_MINUTE = 30
_SHA256 = re.compile(r"[0-9a-f]{64}")


class TooMany(PortalError):
    """This address has asked too often."""

    code = "too_many_requests"
    http_status = 429


@dataclass(frozen=True)
class Check:
    """What is known of a code. ``same_file`` is None where no hash was given to compare."""

    code: str
    found: IssuedReport | None
    sha256: str = ""
    same_file: bool | None = None
    is_hash: bool = True


def check_report(*, code: str, sha256: str = "") -> Check:
    """Look ``code`` up, and compare ``sha256`` (hexadecimal, as tools print it) with its file's.

    :raises TooMany: the address has asked too often within a minute.
    """
    _count_ask()
    found = selectors.find_by_code(code)
    typed = "".join(sha256.split()).lower()
    is_hash = not typed or _SHA256.fullmatch(typed) is not None
    same = None
    if found is not None and typed and is_hash:
        same = typed == found.report.sha256
    if found is not None:
        detail = {"standing": found.standing.value, "same_file": same}
        record("report.verify", found.report, detail=detail)
    return Check(codes.normal(code), found, typed if is_hash else "", same, is_hash)


def _count_ask() -> None:
    key = f"report-verify:{current_origin().remote_addr}"
    cache.add(key, 0, timeout=60)
    try:
        asks = cache.incr(key)
    except ValueError:  # It ran out between the two lines.
        return
    if asks > ASKS_A_MINUTE:
        raise TooMany(_("Too many questions from your address. Wait a minute and ask again."))
