"""Where sessions are kept: Django's database store, with rows that say whose they are.

A person's sessions can be listed and ended by their rows, and an ended one is gone for the very
next request, with no further question asked of the database. Only the SHA-256 of a session's key
is kept, so a copy of the database opens none of them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import SESSION_KEY as USER_ID
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from screening.accounts.keys import digest
from screening.accounts.models import Session

SIGNED_IN_AT = "signed_in_at"  # seconds since 1970, as all moments in a session
RENEWED_AT = "renewed_at"
IDLE_S = "idle_s"
HANDLE = "handle"
ADDRESS = "address"
DEVICE = "device"


class SessionStore(DatabaseStore):
    """Ends ``IDLE_S`` seconds after the person last did something, whatever else is written."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def get_session_cookie_age(self) -> int:
        return int(self.get(IDLE_S) or settings.SESSION_COOKIE_AGE)

    def get_expiry_date(self, **kwargs: Any) -> datetime:
        renewed = self.get(RENEWED_AT)
        if renewed is None or self.get("_session_expiry"):
            return super().get_expiry_date(**kwargs)
        return _moment(renewed) + timedelta(seconds=self.get_session_cookie_age())

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        return Session(
            session_key=digest(self._get_or_create_session_key()),  # type: ignore[attr-defined]
            session_data=self.encode(data),
            expire_date=self.get_expiry_date(),
            user_id=data.get(USER_ID),
            handle=UUID(data[HANDLE]) if HANDLE in data else None,
            started_at=_moment(data[SIGNED_IN_AT]) if SIGNED_IN_AT in data else None,
            seen_at=_moment(data[RENEWED_AT]) if RENEWED_AT in data else None,
            address=data.get(ADDRESS),
            device=data.get(DEVICE, ""),
        )

    def load(self) -> dict[str, Any]:
        key = self.session_key
        row = Session.objects.filter(
            session_key=digest(key or ""), expire_date__gt=datetime.now(UTC)
        ).first()
        if row is None:
            self._session_key = None
            return {}
        return self.decode(row.session_data)

    def exists(self, session_key: str) -> bool:
        return super().exists(digest(session_key))

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            Session.objects.filter(session_key=digest(key)).delete()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
