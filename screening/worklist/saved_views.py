"""A person's saved views of the list."""

from __future__ import annotations

from django.db import transaction
from django.http import QueryDict
from django.utils.translation import gettext as _

from screening.accounts.models import User
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.worklist.forms import FilterForm
from screening.worklist.models import SavedView

MOST_VIEWS = 20


def views_of(user: User) -> list[SavedView]:
    """The person's views, by name."""
    return list(SavedView.objects.filter(user=user))


def save_view(*, actor: User, name: str, query: str) -> SavedView:
    """Keep a filter under a name; an existing view of that name is replaced.

    Of ``query`` only what the filter knows is kept, and nothing that was searched for.

    :raises InvalidInput: the filter makes no sense.
    :raises Conflict: ``too_many_views``.
    """
    form = FilterForm(QueryDict(query))
    if query and not form.is_valid():
        raise InvalidInput(_("This filter cannot be saved; correct it first."))
    kept = form.query() if query else ""
    with transaction.atomic():
        own = SavedView.objects.filter(user=actor)
        if own.exclude(name=name).count() >= MOST_VIEWS:
            raise Conflict(
                _("You have %(count)d views; delete one first.") % {"count": MOST_VIEWS},
                code="too_many_views",
            )
        view, _created = own.update_or_create(user=actor, name=name, defaults={"query": kept})
        record("worklist_view.save", view, actor=actor)
    return view


def delete_view(*, actor: User, view: SavedView) -> None:
    """Forget a view of the actor's own."""
    with transaction.atomic():
        record("worklist_view.delete", view, actor=actor)
        SavedView.objects.filter(user=actor, pk=view.pk).delete()
