"""Events as people read them: names for numbers, words for codes, and where to go from there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _

from screening.accounts.models import ApiToken, Membership, User
from screening.audit.models import Event
from screening.oversight.words import words_for
from screening.patients.models import Patient

_PAGES = {"patient": "record:case_record", "study": "record:study"}


@dataclass(frozen=True)
class Row:
    """``address`` leads to the object where it has a page; the page decides who may open it.

    ``detail`` is what else the event says, as names and values. ``is_emergency`` is that somebody
    who does not work at the patient's site came by way of an emergency access.
    """

    event: Event
    who: str
    through: str
    owner: str
    words: str
    about: str
    address: str
    detail: list[tuple[str, str]]
    is_emergency: bool


def rows_for(user: User, events: Iterable[Event]) -> list[Row]:
    """The events of one page; names of patients only of those whom ``user`` may see."""
    events = list(events)
    people = {
        person.pk: person
        for person in User.objects.filter(pk__in=_ids(events, "actor_id", "owner_id"))
    }
    seen = Patient.objects.visible_to(user).filter(pk__in=_ids(events, "patient_id"))
    patients = {patient.pk: patient for patient in seen}
    tokens = {
        token.pk: token.name for token in ApiToken.objects.filter(pk__in=_ids(events, "token_id"))
    }
    at_home = set(
        Membership.objects.filter(user__in=people, site__in=_ids(events, "site_id")).values_list(
            "user_id", "site_id"
        )
    )
    rows = []
    for event in events:
        actor, owner = people.get(_key(event.actor_id)), people.get(_key(event.owner_id))
        patient = patients.get(_key(event.patient_id))
        rows.append(
            Row(
                event=event,
                who=_name(event, actor),
                through=tokens.get(event.token_id, _("ended")) if event.token_id else "",
                owner=str(owner) if owner is not None else "",
                words=words_for(event.action),
                about=str(patient) if patient is not None else "",
                address=_address(event),
                detail=[(name, _value(value)) for name, value in sorted(event.detail.items())],
                is_emergency=(
                    event.patient_id is not None
                    and actor is not None
                    and (event.actor_id, event.site_id) not in at_home
                ),
            )
        )
    return rows


def _ids(events: list[Event], *names: str) -> set[UUID]:
    return {key for event in events for name in names if (key := getattr(event, name)) is not None}


def _key(value: UUID | None) -> UUID:
    return value if value is not None else UUID(int=0)


def _name(event: Event, actor: User | None) -> str:
    if actor is not None and str(actor) != event.actor_name:
        return f"{actor} ({event.actor_name})"
    return {"system": _("The portal itself"), "anonymous": _("Nobody signed in")}.get(
        event.actor_name, event.actor_name
    )


def _address(event: Event) -> str:
    page = _PAGES.get(event.object_type)
    return reverse(page, args=(event.object_id,)) if page and event.object_id else ""


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
