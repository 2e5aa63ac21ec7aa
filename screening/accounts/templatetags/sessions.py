"""What a page knows of the end of its session."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.contrib.auth import SESSION_KEY as USER_ID
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from screening.accounts.services import sessions

register = template.Library()


@register.simple_tag
def time_left(request: HttpRequest) -> dict[str, str]:
    """In seconds, as HTML attributes want them; empty for somebody who has not signed in."""
    session: SessionBase | None = getattr(request, "session", None)
    if session is None or USER_ID not in session:
        return {}
    left = sessions.time_left(session)
    idle = session.get_session_cookie_age()
    seconds = {
        "idle_s": left.idle_s,
        "age_s": left.age_s,
        "warn_s": min(settings.SESSION_WARN_S, idle / 2),
        "every_s": min(settings.SESSION_RENEW_AFTER_S, idle / 4),
    }
    return {name: f"{value:.1f}" for name, value in seconds.items()}
