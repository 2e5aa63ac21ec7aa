"""Letters to people, where the operator has set up a mail server."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail

logger = logging.getLogger(__name__)


def mail_is_on() -> bool:
    """Whether the settings name a mail server."""
    return bool(settings.EMAIL_HOST)


def send_letter(*, to: str, subject: str, body: str) -> bool:
    """Send one letter; return whether the mail server took it.

    A server that is away is no error for the caller, who then shows the link instead. Neither
    address nor text is logged.
    """
    if not mail_is_on() or not to:
        return False
    try:
        return bool(send_mail(subject, body, None, [to]))
    except (SMTPException, OSError) as error:
        logger.warning("mail server did not take a letter: %s", type(error).__name__)
        return False
