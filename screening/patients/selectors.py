"""Finding patients."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.http import Http404

from screening.accounts.models import User
from screening.accounts.policies import Permission, sites_where
from screening.patients.fields import KEY_LENGTH
from screening.patients.models import Patient
from screening.patients.normalise import mrn_key, name_key, without_hidden_characters
from screening.patients.paging import Group, Page, read_page

PAGE_SIZE = 50
_BY_FAMILY = ("family_key", "given_key", "id")
_BY_GIVEN = ("given_key", "family_key", "id")
_BY_MRN = ("mrn_key", "id")
_LAST = "\U0010ffff"  # No key contains it: such characters are refused.


def get_patient(user: User | AnonymousUser, patient_id: UUID) -> Patient:
    """A patient of the sites where ``user`` may view patients. Raises ``Http404``."""
    try:
        return Patient.objects.visible_to(user).select_related("site").get(pk=patient_id)
    except Patient.DoesNotExist:
        raise Http404 from None


def search_patients(
    user: User | AnonymousUser,
    *,
    text: str = "",
    mrn: str = "",
    cursor: str = "",
    size: int = PAGE_SIZE,
) -> Page:
    """The patients that ``text`` may mean, or all of them, one page at a time.

    ``text`` is the beginning of a family name, of a given name or of an MRN, or
    ``family, given``, or two names in either order; case and accents do not count. Family names
    come first, then given names, then MRNs; with a digit in it, MRNs come first. ``mrn``
    instead asks for exactly that record number. Each group is a range of one index.
    """
    sites = sites_where(user, Permission.VIEW_PATIENTS).values_list("pk", flat=True)
    # The site is named as a constant beside ``visible_to``, so that the index can be used.
    lists = [Patient.objects.visible_to(user).filter(site_id=site) for site in sites]
    if mrn:
        groups = [Group(Q(mrn_key=mrn_key(without_hidden_characters(mrn))), _BY_MRN)]
    else:
        groups = _meanings(without_hidden_characters(text))
    return read_page(lists, groups, cursor=cursor, size=size)


def _meanings(text: str) -> list[Group]:
    by_mrn = Group(_begins("mrn_key", mrn_key(text)), _BY_MRN)
    name = name_key(text)
    if not name:
        return [by_mrn if by_mrn.condition else Group(Q(), _BY_FAMILY)]
    if "," in name:
        family, given = (part.strip() for part in name.split(",", 1))
        return [_named(family, given), by_mrn] if family or given else [by_mrn]
    names = [
        Group(_begins("family_key", name), _BY_FAMILY),
        Group(_begins("given_key", name), _BY_GIVEN),
    ]
    first, _, rest = name.partition(" ")
    if rest:
        names += [_named(rest, first), _named(first, rest)]
    return [by_mrn, *names] if any(c.isdigit() for c in name) else [*names, by_mrn]


def _named(family: str, given: str) -> Group:
    both = _begins("family_key", family) & _begins("given_key", given)
    return Group(both, _BY_FAMILY if family else _BY_GIVEN)


def _begins(field: str, prefix: str) -> Q:
    if not prefix:
        return Q()
    prefix = prefix[:KEY_LENGTH]
    return Q(**{f"{field}__gte": prefix, f"{field}__lt": prefix + _LAST})
