"""Issuing reports, withdrawing them, and printing what is not signed yet."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import Conflict, Forbidden, InvalidInput, PortalError
from screening.reading.selectors import answer_hidden
from screening.report import codes, selectors
from screening.report.content import Issue, gather, signed_words
from screening.report.document import draw_report
from screening.report.models import Report, Withdrawal
from screening.studies import storage
from screening.studies.models import Study

logger = logging.getLogger(__name__)

BuildUrl = Callable[[str], str]

REASON_LENGTH = 500
PATIENCE_S = 20
_drawing = threading.BoundedSemaphore(1)
"""Each process draws one report at a time: that bounds its memory, and ReportLab keeps its fonts
in one place for all threads."""


class Busy(PortalError):
    """Other reports are being drawn, for longer than anybody wants to wait."""

    code = "busy"
    http_status = 503


class StoreUnavailable(PortalError):
    """The disk is full or gone."""

    code = "storage_unavailable"
    http_status = 503


@contextmanager
def _turn_to_draw() -> Iterator[None]:
    if not _drawing.acquire(timeout=PATIENCE_S):
        raise Busy(_("Other reports are being printed just now: try again in a minute."))
    try:
        yield
    finally:
        _drawing.release()


def print_preliminary(*, actor: User, study: Study) -> bytes:
    """The study as it stands, as a PDF that says on every page that it is no report.

    ``study`` was found by ``visible_to(actor)``. Nothing is kept but a line in the audit.

    :raises Busy: too many at once.
    """
    policies.require(actor, Permission.VIEW_STUDIES, study.site_id)
    content = gather(actor=actor, study=study, signed=signed_words(actor, study), at=timezone.now())
    with _turn_to_draw():
        data, _pages = draw_report(content)
    record("report.preliminary", study, actor=actor)
    return data


def issue_report(
    *,
    actor: User,
    study: Study,
    build_url: BuildUrl,
    seen: int | None = None,
) -> Report:
    """Print what is signed of ``study`` and keep it as its newest report.

    ``study`` was found by ``visible_to(actor)``; ``build_url`` turns a code into the address of its
    public page. ``seen`` is the version that the actor took for the newest (0: none), so that a
    double click or a colleague's report made meanwhile does not make another; None asks for no
    such check.

    :raises Forbidden: the actor may not issue reports at the study's site, or (``answer_hidden``)
        has to read the study first.
    :raises Conflict: ``not_signed``, or ``changed_meanwhile``.
    :raises Busy: too many at once.
    """
    policies.require(actor, Permission.ISSUE_REPORTS, study.site_id)
    refuse_hidden(actor, study)
    signed = signed_words(actor, study)
    if not signed.is_signed:
        raise Conflict(
            _("No reading of this study has been signed yet, so there is nothing to issue."),
            code="not_signed",
        )
    version = _newest_version(study) + 1
    if seen is not None and seen != version - 1:
        raise _changed_meanwhile()
    code, now, key = codes.new_code(), timezone.now(), uuid4()
    issue = Issue(version, code, build_url(code), now, str(actor))
    content = gather(actor=actor, study=study, signed=signed, at=now, issue=issue)
    with _turn_to_draw():
        data, pages = draw_report(content)
    with storage.FilesOfRows() as files:
        try:
            name = files.put(storage.new_name(selectors.REPORTS, key, ".pdf"), data)
        except OSError as error:
            logger.error("the file store took no report: %s", error.strerror)
            raise StoreUnavailable(
                _("The portal could not store the report just now: try again later.")
            ) from None
        with transaction.atomic(durable=True):
            Study.objects.select_for_update().get(pk=study.pk)
            is_stale = selectors.signed_keys(study.pk) != signed.covers
            if is_stale or _newest_version(study) != version - 1:
                raise _changed_meanwhile()
            report = Report.objects.create(
                pk=key,
                study=study,
                site_id=study.site_id,
                version=version,
                code=code,
                file=name,
                sha256=hashlib.sha256(data).hexdigest(),
                size_bytes=len(data),
                pages=pages,
                covers=signed.covers,
                issued_by=actor,
                issued_at=now,
            )
            detail = {"study": str(study.pk), "version": version, "sha256": report.sha256}
            record("report.issue", report, actor=actor, detail=detail)
            files.keep()
    return report


@transaction.atomic
def withdraw_report(*, actor: User, report: Report, reason: str) -> Withdrawal:
    """Say that ``report`` does not hold any more; its file stays, and its page says so.

    ``report`` was found by ``visible_to(actor)``.

    :raises Forbidden: the actor may not issue reports at its site.
    :raises InvalidInput: there is no reason, or it is too long.
    :raises Conflict: ``already_withdrawn``.
    """
    policies.require(actor, Permission.ISSUE_REPORTS, report.site_id)
    reason = reason.strip()
    if not reason or len(reason) > REASON_LENGTH or "\x00" in reason:
        raise InvalidInput(
            _("Say why, in at most %(count)s characters.") % {"count": REASON_LENGTH},
            field="reason",
        )
    Study.objects.select_for_update().get(pk=report.study_id)
    if Withdrawal.objects.filter(report=report).exists():
        raise Conflict(_("This report has been withdrawn already."), code="already_withdrawn")
    withdrawal = Withdrawal.objects.create(report=report, reason=reason, withdrawn_by=actor)
    record("report.withdraw", report, actor=actor, detail={"study": str(report.study_id)})
    return withdrawal


def refuse_hidden(actor: User, study: Study) -> None:
    """Raise ``Forbidden`` while the AI's answer, which reports print, is hidden from ``actor``."""
    if answer_hidden(actor, study):
        raise Forbidden(
            _("The AI’s answer is shown once you have recorded your first impression."),
            code="answer_hidden",
        )


def _newest_version(study: Study) -> int:
    newest = Report.objects.filter(study=study).order_by("-version").first()
    return newest.version if newest else 0


def _changed_meanwhile() -> Conflict:
    return Conflict(
        _(
            "Something was signed or issued for this study in the meantime. "
            "Look at what is there now, and issue again if it is still needed."
        ),
        code="changed_meanwhile",
    )
