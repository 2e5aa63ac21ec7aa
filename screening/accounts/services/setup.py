"""The first people of an empty portal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.db import transaction
from django.utils.translation import gettext as _

from screening.accounts.keys import readable_password
from screening.accounts.models import Membership, Role, Site, User
from screening.audit.services import record
from screening.core.errors import Conflict
from screening.core.private_files import replace_private_file


@dataclass(frozen=True)
class FirstLogin:
    username: str
    password: str


def create_first_site(*, name: str, keep_in: Path, address: str = "") -> list[FirstLogin] | None:
    """Create a site with an admin and a clinician; return ``None`` if there is a site already.

    The generated passwords reach ``keep_in`` (mode 600) before the accounts are committed, so
    no crash leaves accounts whose passwords nobody knows. A file left by such a crash, or by a
    portal whose database was removed, is replaced.
    """
    with transaction.atomic():
        if Site.objects.exists():
            return None
        site = Site.objects.create(name=name)
        record("site.create", site, site_id=site.pk)
        logins = []
        for username, role in (("admin", Role.ADMIN), ("clinician", Role.CLINICIAN)):
            password = readable_password()
            create_member(site=site, username=username, role=role, password=password)
            logins.append(FirstLogin(username, password))
        lines = [f"address: {address}"] if address else []
        lines += [f"{login.username}: {login.username} {login.password}" for login in logins]
        replace_private_file(keep_in, "\n".join(lines) + "\n")
    return logins


@transaction.atomic
def create_admin(*, site_name: str, username: str, email: str, password: str) -> User:
    """Create an admin of ``site_name``, and the site itself where it is missing.

    For the command line of a machine that has no admin yet. Raises ``Conflict``
    (``username_taken``).
    """
    if User.objects.filter(username__iexact=username).exists():
        raise Conflict(_("This user name is taken."), code="username_taken", field="username")
    site, is_new = Site.objects.get_or_create(name=site_name)
    if is_new:
        record("site.create", site, site_id=site.pk)
    return create_member(
        site=site, username=username, role=Role.ADMIN, password=password, email=email
    )


def create_member(*, site: Site, username: str, role: str, password: str, email: str = "") -> User:
    user = User.objects.create_user(username=username.lower(), email=email, password=password)
    membership = Membership.objects.create(user=user, site=site, role=role)
    record("user.create", membership, detail={"role": role})
    return user
