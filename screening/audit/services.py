"""Writing to the audit record."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Model

from screening.audit.context import count, current_origin
from screening.audit.models import Event, Outcome

# How an object leads to the patient it is about; the audit stands below the rooms it names.
_TOWARDS_THE_PATIENT = ("study", "image", "reading", "result", "report")


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
    event = Event(
        action=action,
        site_id=site_id,
        actor_id=actor.pk if actor is not None else origin.actor_id,
        actor_name=actor.get_username() if actor is not None else origin.actor_name,
        token_id=origin.token_id,
        owner_id=origin.owner_id,
        object_type=obj._meta.model_name or "" if obj is not None else "",
        object_id=str(obj.pk) if obj is not None else object_id,
        patient_id=patient_of(obj) if obj is not None else None,
        outcome=outcome,
        request_id=origin.request_id,
        remote_addr=origin.remote_addr or None,
        detail=detail or {},
    )
    event.seal()
    event.save(force_insert=True)
    count(action)


def patient_of(obj: Model) -> UUID | None:
    """The patient that ``obj`` is or belongs to, if any."""
    if obj._meta.model_name == "patient":
        key: UUID = obj.pk
        return key
    patient_id: UUID | None = getattr(obj, "patient_id", None)
    if patient_id is not None:
        return patient_id
    names = {field.name for field in obj._meta.concrete_fields if field.many_to_one}
    names |= {field.name for field in obj._meta.concrete_fields if field.one_to_one}
    for name in _TOWARDS_THE_PATIENT:
        if name in names and getattr(obj, f"{name}_id") is not None:
            return patient_of(getattr(obj, name))
    return None
