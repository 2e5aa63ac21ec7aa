"""The first people of an empty portal."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from screening.accounts.keys import readable_password
from screening.accounts.models import Membership, Role, Site, User
from screening.audit.services import record
from screening.core.errors import Conflict


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
        raise Conflict("This user name is taken.", code="username_taken", field="username")
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


def replace_private_file(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` with mode 600; it appears complete or not at all.

    The draft is opened with ``O_EXCL`` under a name that nobody can foresee, so a link laid in
    its way is not followed.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
