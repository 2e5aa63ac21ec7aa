"""Counting wrong guesses, and making whoever guesses wait.

Each guess is counted *before* it is judged, so that a hundred guesses at the same moment are a
hundred counted ones, and taken back when it was right. Waiting times double with every further
failure up to a ceiling. The ceilings decide how long somebody else can keep a colleague out:
what is counted for an account as a whole has a low one, and does not apply to devices on which
the person has signed in before (``known_devices``).
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import ngettext

from screening.accounts.models import AttemptCount
from screening.core.errors import PortalError

KEPT_FOR = timedelta(days=1)


@dataclass(frozen=True)
class Rule:
    """``free`` failures cost nothing; then ``first_s`` seconds, doubling up to ``longest_s``.

    After ``forget_s`` seconds without an attempt everything is forgotten.
    """

    name: str
    free: int
    first_s: int
    longest_s: int
    forget_s: int = 3600

    def wait_s(self, failures: int) -> int:
        """How long to wait after so many failures."""
        if failures < self.free:
            return 0
        doubled = self.first_s << min(failures - self.free, 20)
        return min(doubled, self.longest_s)


# One account from one place: whoever guesses here is kept from going on, and nobody else is.
SIGN_IN_HERE = Rule("sign-in-here", free=5, first_s=30, longest_s=900)
# One account from everywhere: many places guess together. Low, for it also holds its owner up.
SIGN_IN_ACCOUNT = Rule("sign-in-account", free=10, first_s=10, longest_s=60)
# One place, whatever the account. A whole hospital may stand behind one address.
SIGN_IN_ADDRESS = Rule("sign-in-address", free=50, first_s=10, longest_s=60, forget_s=900)
# Only somebody who knows the password comes as far as these.
CODE_HERE = Rule("code-here", free=5, first_s=30, longest_s=900)
CODE_ACCOUNT = Rule("code-account", free=20, first_s=30, longest_s=900)
# Somebody who is signed in and proves it again.
CONFIRM = Rule("confirm", free=5, first_s=30, longest_s=900)
# Links carry 256 random bits; this keeps a guesser from filling the log.
LINK = Rule("link", free=20, first_s=30, longest_s=300)
# Letters that an admin can have sent to one person.
RESET = Rule("reset", free=5, first_s=600, longest_s=3600)

Key = tuple[Rule, str]


class TooManyAttempts(PortalError):
    """Wait ``retry_after`` seconds; what was sent has not been looked at."""

    code = "too_many_attempts"
    http_status = 429

    retry_after: int

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        minutes = math.ceil(retry_after / 60)
        super().__init__(
            ngettext(
                "Too many attempts. Please wait %(seconds)d second, then try again.",
                "Too many attempts. Please wait %(seconds)d seconds, then try again.",
                retry_after,
            )
            % {"seconds": retry_after}
            if retry_after <= 90
            else ngettext(
                "Too many attempts. Please wait %(minutes)d minute, then try again.",
                "Too many attempts. Please wait %(minutes)d minutes, then try again.",
                minutes,
            )
            % {"minutes": minutes}
        )


@dataclass(frozen=True)
class Attempt:
    """A guess that was counted."""

    counted: tuple[str, ...]
    forgiven: tuple[str, ...]

    def was_right(self) -> None:
        """Take the guess back, and forget the wrong ones before it where that is safe.

        The count of an address is only lowered by this one guess: somebody with an account of
        the own could otherwise sign in between two guesses at another's.
        """
        AttemptCount.objects.filter(key__in=self.forgiven).delete()
        lowered = set(self.counted) - set(self.forgiven)
        if lowered:
            AttemptCount.objects.filter(key__in=lowered, failures__gt=0).update(
                failures=F("failures") - 1, blocked_until=None
            )


def count_attempt(*keys: Key) -> Attempt:
    """Count one guess under each of ``keys``. Raises ``TooManyAttempts``, and then counts none."""
    rules = {_digest(key): key[0] for key in keys}
    now = timezone.now()
    with transaction.atomic():
        AttemptCount.objects.bulk_create(
            [AttemptCount(key=digest, last_at=now) for digest in rules], ignore_conflicts=True
        )
        # Always in the same order, so that two guesses never wait for each other.
        rows = list(AttemptCount.objects.select_for_update().filter(key__in=rules).order_by("key"))
        _ensure_open(rows, now)
        for row in rows:
            rule = rules[row.key]
            is_old = now - row.last_at > timedelta(seconds=rule.forget_s)
            row.failures = 1 if is_old else row.failures + 1
            row.last_at = now
            wait = rule.wait_s(row.failures)
            row.blocked_until = now + timedelta(seconds=wait) if wait else None
        AttemptCount.objects.bulk_update(rows, ["failures", "last_at", "blocked_until"])
    forgiven = tuple(digest for digest, rule in rules.items() if rule is not SIGN_IN_ADDRESS)
    return Attempt(counted=tuple(rules), forgiven=forgiven)


def ensure_open(*keys: Key) -> None:
    """Raise ``TooManyAttempts`` if one of ``keys`` must wait; counts nothing."""
    found = AttemptCount.objects.filter(key__in=[_digest(key) for key in keys])
    _ensure_open(list(found), timezone.now())


def ensure_links_open(address: str) -> None:
    """Raise ``TooManyAttempts`` where too many wrong links were opened from ``address``."""
    ensure_open((LINK, place_of(address)))


def count_wrong_link(address: str) -> None:
    """Count one wrong link that was opened from ``address``. Raises ``TooManyAttempts``."""
    count_attempt((LINK, place_of(address)))


def place_of(address: str) -> str:
    """What counts as one place: an IPv4 address, or the /64 that one IPv6 subscriber holds."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))


def forget_old() -> None:
    """Remove counts that nothing depends on any more. Run each night."""
    AttemptCount.objects.filter(last_at__lt=timezone.now() - KEPT_FOR).delete()


def _ensure_open(rows: Sequence[AttemptCount], now: datetime) -> None:
    waits = [row.blocked_until for row in rows if row.blocked_until and row.blocked_until > now]
    if waits:
        raise TooManyAttempts(max(1, math.ceil((max(waits) - now).total_seconds())))


def _digest(key: Key) -> str:
    rule, what = key
    text = f"{rule.name}:{what}"
    return salted_hmac("accounts.limits", text, algorithm="sha256").hexdigest()
