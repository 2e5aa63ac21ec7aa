"""Writing to the audit record."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Model

from screening.audit.context import current_origin
from screening.audit.models import Event, Outcome


def record(
    action: str,
    obj: Model | None = None,
    *,
    site_id: UUID | None = None,
    actor: Any = None,
    outcome: Outcome = Outcome.OK,
    object_id: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    """Append one event, in the caller's transaction.

    ``action`` is ``noun.verb`` such as ``patient.create``. The site is taken from ``obj`` when
    it has one, else it is the actor's own; the actor from ``actor`` (a user), else from the
    request or task at hand. ``object_id`` is for what was named but not found out to exist.
    ``detail`` must not contain names, birth dates or record numbers.
    """
    origin = current_origin()
    if site_id is None:
        site_id = getattr(obj, "site_id", None) or origin.site_id
    Event.objects.create(
        action=action,
        site_id=site_id,
        actor_id=actor.pk if actor is not None else origin.actor_id,
        actor_name=actor.get_username() if actor is not None else origin.actor_name,
        object_type=obj._meta.model_name or "" if obj is not None else "",
        object_id=str(obj.pk) if obj is not None else object_id,
        outcome=outcome,
        request_id=origin.request_id,
        remote_addr=origin.remote_addr,
        detail=detail or {},
    )
