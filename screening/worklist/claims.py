"""Who has which study in hand: claiming, giving back, handing over, going on to the next.

A claim moves by compare-and-set in the database, so that of two people who press at once one gets
it and the other is told who did. It ends by itself when its holder gives no sign for the site's
idle time; pages that show the study send such signs while somebody works on them.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from screening.accounts import policies
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput
from screening.inference.services import retry_job
from screening.studies.models import Image, Status
from screening.worklist import notices, selectors
from screening.worklist.models import Entry, Kind
from screening.worklist.rules import rule_of
from screening.worklist.selectors import Wanted, get_entry, worklist_of

CANDIDATES = 20


class AlreadyClaimed(Conflict):
    """Somebody else reads this study."""

    code = "already_claimed"


def claim_study(*, actor: User, study_id: UUID) -> Entry:
    """Take a study in hand, or keep it there.

    :raises Http404: the study does not exist for the actor.
    :raises Forbidden: the actor may not claim at its site.
    :raises AlreadyClaimed: somebody else was quicker.
    :raises Conflict: ``already_read``.
    """
    entry = _entry_for(actor, study_id)
    while not _take(actor, entry):
        entry = get_entry(actor, study_id)
        _refuse_read(entry)
        if entry.claimed_by is not None:
            raise _claimed_by(entry.claimed_by)
        # Given back in this very moment: it is to be had after all.
    return get_entry(actor, study_id)


def _claimed_by(holder: User) -> AlreadyClaimed:
    return AlreadyClaimed(_("%(name)s is reading this study.") % {"name": holder})


def _take(actor: User, entry: Entry) -> bool:
    now = timezone.now()
    until = now + rule_of(entry.site_id).idle
    rows = Entry.objects.unread().filter(pk=entry.pk)
    with transaction.atomic():
        # A claim that is one's own already is only prolonged, and keeps its beginning.
        if rows.filter(claimed_by=actor, claimed_until__gt=now).update(claimed_until=until):
            return True
        free = rows.filter(Q(claimed_by__isnull=True) | Q(claimed_until__lte=now))
        if not free.update(claimed_by=actor, claimed_at=now, claimed_until=until):
            return False
        record("worklist.claim", entry, actor=actor)
    return True


def release_study(*, actor: User, study_id: UUID) -> Entry:
    """Give a study back to the list. One's own; whoever rules over the list may free any.

    :raises Http404: the study does not exist for the actor.
    :raises Forbidden: the actor may not claim at its site.
    :raises AlreadyClaimed: it is somebody else's.
    """
    entry = _entry_for(actor, study_id)
    rows = Entry.objects.filter(pk=entry.pk, claimed_by__isnull=False)
    if not policies.may(actor, Permission.RULE_WORKLIST, entry.site_id):
        rows = rows.filter(claimed_by=actor)
    with transaction.atomic():
        if rows.update(claimed_by=None, claimed_at=None, claimed_until=None):
            record("worklist.release", entry, actor=actor)
            return get_entry(actor, study_id)
    entry = get_entry(actor, study_id)
    if entry.claimed_by is not None and entry.claimed_by_id != actor.pk:
        raise _claimed_by(entry.claimed_by)
    return entry


def prolong_claim(*, actor: User, study_id: UUID) -> bool:
    """Note a sign of the actor, who may hold the study; ``False`` where that is not so.

    Leaves no event: it changes nothing that the claim's own event does not say.
    """
    entry = get_entry(actor, study_id)
    now = timezone.now()
    own = Entry.objects.unread().filter(pk=study_id, claimed_by=actor, claimed_until__gt=now)
    return bool(own.update(claimed_until=now + rule_of(entry.site_id).idle))


def assign_study(*, actor: User, study_id: UUID, assignee_id: UUID | None) -> Entry:
    """Hand a study to a colleague, who is told; or to nobody. The actor's own claim ends.

    :raises Http404: the study does not exist for the actor.
    :raises Forbidden: the actor may not claim at its site.
    :raises InvalidInput: ``unknown_colleague``.
    :raises Conflict: ``already_read``.
    """
    entry = _entry_for(actor, study_id)
    people = {person.pk: person for person in selectors.colleagues_at(entry.site_id)}
    if assignee_id is not None and assignee_id not in people:
        raise InvalidInput(
            _("Choose a colleague who reads at this site."),
            code="unknown_colleague",
            field="assignee",
        )
    with transaction.atomic():
        if not Entry.objects.unread().filter(pk=study_id).update(assigned_to=assignee_id):
            _refuse_read(get_entry(actor, study_id))
        if assignee_id is not None and assignee_id != actor.pk:
            Entry.objects.filter(pk=study_id, claimed_by=actor).update(
                claimed_by=None, claimed_at=None, claimed_until=None
            )
            notices.tell(
                user_id=assignee_id, study=entry.study, kind=Kind.ASSIGNED, caused_by=actor
            )
        detail = {"assignee": str(assignee_id) if assignee_id else None}
        record("worklist.assign", entry, actor=actor, detail=detail)
    return get_entry(actor, study_id)


def claim_next(*, actor: User, after: UUID | None = None, wanted: Wanted | None = None) -> Entry:
    """Claim the first study in order that nobody has in hand and that is not a colleague's.

    With ``after`` the search begins behind that study, and starts over from the top when nothing
    is left there. Two people who ask at once get different studies.

    :raises Forbidden: the actor may claim nowhere.
    :raises Conflict: ``nothing_left``.
    """
    policies.home_site(actor, Permission.CLAIM_STUDIES)
    now = timezone.now()
    free = Q(claimed_by__isnull=True) | Q(claimed_until__lte=now)
    not_a_colleagues = Q(assigned_to__isnull=True) | Q(assigned_to=actor)
    found = worklist_of(actor, wanted).narrowed(free & not_a_colleagues & ~Q(pk=after))
    start = None
    if after is not None:
        known = Entry.objects.visible_to(actor).filter(pk=after).first()
        start = found.place_of(known) if known else None
    while True:
        candidates = found.first_after(start, CANDIDATES)
        for entry in candidates:
            if policies.may(actor, Permission.CLAIM_STUDIES, entry.site_id) and _take(actor, entry):
                return get_entry(actor, entry.pk)
        if candidates:
            start = found.place_of(candidates[-1])
        elif start is not None and after is not None:
            start, after = None, None
        else:
            raise Conflict(
                _("Nothing is left to read: every study is read or in somebody's hands."),
                code="nothing_left",
            )


def retry_failed_images(*, actor: User, study_id: UUID) -> int:
    """Queue the failed images of a study once more; how many there were.

    :raises Http404: the study does not exist for the actor.
    :raises Forbidden: the actor may not retry at its site.
    :raises Conflict: ``not_failed``, where no image failed.
    """
    entry = get_entry(actor, study_id)
    policies.require(actor, Permission.RETRY_JOBS, entry.site_id)
    failed = Image.objects.visible_to(actor).select_related("study")
    images = list(failed.filter(study=study_id, status=Status.FAILED))
    if not images:
        raise Conflict(_("No image of this study has failed."), code="not_failed")
    for image in images:
        retry_job(actor=actor, image=image)
    return len(images)


def _entry_for(actor: User, study_id: UUID) -> Entry:
    entry = get_entry(actor, study_id)
    policies.require(actor, Permission.CLAIM_STUDIES, entry.site_id)
    return entry


def _refuse_read(entry: Entry) -> None:
    if entry.closed_at is not None:
        raise Conflict(_("A reading of this study is signed already."), code="already_read")
