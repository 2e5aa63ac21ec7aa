"""The heads of the chains, kept outside the database.

A file of one JSON line an anchor, ``anchors.jsonl`` in the folder of ``AUDIT_ANCHORS``: which
chain, its last place, the hash there, and when. It is only ever appended to, and reaches the disk
before anything else happens. Put the folder where whoever runs the database cannot write, or have
each new line sent to another machine (``AUDIT_WEBHOOK``): lines are then posted as they stand,
signed with HMAC-SHA-256 under the key of ``AUDIT_WEBHOOK_KEY``, until the other side answers 2xx.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import http.client
import json
import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from screening.audit.models import Link

logger = logging.getLogger(__name__)

FILE = "anchors.jsonl"
SENT = "anchors.sent"  # How many bytes of the file the other machine has taken.
TIMEOUT_S = 10.0
SIGNATURE = "X-ThoraScreen-Signature"


@dataclass(frozen=True)
class Anchor:
    """``at`` is UTC, as ISO 8601 writes it."""

    chain: str
    sequence: int
    hash: str
    at: str


class AnchorsUnreadable(Exception):
    """The file of anchors has a line that is none; ``args`` says which."""


def read_anchors() -> dict[UUID, dict[int, Anchor]]:
    """Every anchor by its chain and place. The first one wins where two contradict each other.

    Raises ``AnchorsUnreadable``: a file that somebody has written to is no witness.
    """
    found: dict[UUID, dict[int, Anchor]] = {}
    try:
        lines = (_folder() / FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return found
    for number, line in enumerate(lines, start=1):
        try:
            anchor = Anchor(**json.loads(line))
            found.setdefault(UUID(anchor.chain), {}).setdefault(int(anchor.sequence), anchor)
        except (TypeError, ValueError):
            raise AnchorsUnreadable(f"line {number} of {FILE} is not an anchor") from None
    return found


def write_anchors(chains: list[UUID]) -> list[Anchor]:
    """Append the head of every chain that has moved since its last anchor."""
    now = timezone.now().isoformat(timespec="seconds")
    with _locked() as file:
        known = {chain: max(places) for chain, places in read_anchors().items()}
        written = []
        for chain in chains:
            head = Link.objects.filter(chain=chain).order_by("-sequence").first()
            if head is not None and head.sequence > known.get(chain, 0):
                written.append(Anchor(str(chain), head.sequence, head.hash, now))
        for anchor in written:
            file.write(json.dumps(asdict(anchor)).encode("ascii") + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return written


def send_anchors() -> bool:
    """Post the lines that the other machine has not taken yet; return whether it has all now."""
    if not settings.AUDIT_WEBHOOK:
        return True
    with _locked():
        sent = _folder() / SENT
        done = int(sent.read_text()) if sent.exists() else 0
        with (_folder() / FILE).open("rb") as file:
            file.seek(done)
            body = file.read()
        if not body:
            return True
        if not _post(body):
            return False
        fresh = sent.with_suffix(".new")
        fresh.write_text(str(done + len(body)))
        fresh.replace(sent)
    return True


def _post(body: bytes) -> bool:
    parts = urlsplit(settings.AUDIT_WEBHOOK)
    signature = hmac.new(settings.AUDIT_WEBHOOK_KEY.encode(), body, hashlib.sha256).hexdigest()
    context = ssl.create_default_context(cafile=settings.AUDIT_WEBHOOK_CA or None)
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port, timeout=TIMEOUT_S, context=context
    )
    try:
        address = parts.path or "/"
        connection.request(
            "POST",
            f"{address}?{parts.query}" if parts.query else address,
            body,
            {"Content-Type": "application/jsonl", SIGNATURE: f"sha256={signature}"},
        )
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        logger.warning("the anchors could not be sent: %s", type(error).__name__)
        return False
    finally:
        connection.close()
    if not 200 <= status < 300:
        logger.warning("the anchors were not taken: status %d", status)
        return False
    return True


def _folder() -> Path:
    return Path(settings.AUDIT_ANCHORS)


@contextmanager
def _locked() -> Iterator[IO[bytes]]:
    """The file, open for appending, held against another process."""
    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    number = os.open(_folder() / FILE, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    with os.fdopen(number, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
