"""Service accounts: a modality or an information system that uses the API by itself."""

from __future__ import annotations

from uuid import uuid4

from django.db import transaction
from django.utils.translation import gettext as _

from screening.accounts.models import ApiToken, Membership, Role, Scope, ServiceAccount, Site, User
from screening.accounts.policies import Permission, require
from screening.accounts.services.tokens import IssuedToken, make_token
from screening.audit.services import record
from screening.core.errors import Conflict, InvalidInput

# A colon stands in no person's user name, so the two kinds cannot be mistaken for each other.
_USER_NAME = "device:{}"


@transaction.atomic
def make_device(*, actor: User, site: Site, name: str) -> ServiceAccount:
    """Make a service account of ``site``; ``actor`` answers for it.

    It has no password, so it cannot sign in: tokens are its only way. Raises ``InvalidInput``
    where the site has a device of that name.
    """
    Site.objects.select_for_update().get(pk=site.pk)
    require(actor, Permission.MANAGE_USERS, site.pk)
    if ServiceAccount.objects.filter(site=site, name__iexact=name).exists():
        raise InvalidInput(_("There is a device of this name already."), field="name")
    key = uuid4()
    user = User(pk=key, username=_USER_NAME.format(key.hex[:12]), first_name=name)
    user.set_unusable_password()
    user.save()
    Membership.objects.create(user=user, site=site, role=Role.DEVICE)
    device = ServiceAccount.objects.create(user=user, site=site, name=name, owner=actor)
    record("device.create", device, actor=actor)
    return device


def make_device_token(*, actor: User, device: ServiceAccount, name: str, days: int) -> IssuedToken:
    """Make a token by which ``device`` may send X-rays and ask what became of them.

    Raises ``Conflict`` (``not_active``).
    """
    require(actor, Permission.MANAGE_USERS, device.site_id)
    if not _membership(device).is_active:
        raise Conflict(_("This device is not active. Reactivate it first."), code="not_active")
    return make_token(user=device.user, name=name, scopes=[Scope.UPLOAD], days=days, made_by=actor)


@transaction.atomic
def deactivate_device(*, actor: User, device: ServiceAccount) -> None:
    """Refuse the device's very next request; its tokens are gone for good."""
    membership = _lock(actor, device)
    if not membership.is_active:
        return
    membership.is_active = False
    membership.save(update_fields=("is_active", "updated_at"))
    ApiToken.objects.filter(user=device.user).delete()
    record("device.deactivate", device, actor=actor)


@transaction.atomic
def reactivate_device(*, actor: User, device: ServiceAccount) -> None:
    """Let the device have new tokens."""
    membership = _lock(actor, device)
    if membership.is_active:
        return
    membership.is_active = True
    membership.save(update_fields=("is_active", "updated_at"))
    record("device.reactivate", device, actor=actor)


def _lock(actor: User, device: ServiceAccount) -> Membership:
    Site.objects.select_for_update().get(pk=device.site_id)
    require(actor, Permission.MANAGE_USERS, device.site_id)
    return _membership(device)


def _membership(device: ServiceAccount) -> Membership:
    return Membership.objects.get(user=device.user, site=device.site_id)
