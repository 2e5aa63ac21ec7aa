"""What the scopes of an API token let through: the second table beside role → permission.

A scope only ever takes away. What is asked of a token is asked twice: the API's permission
classes ask the scopes for what an address is for (403 ``token_scope``), and the policy asks them
again for whatever a service needs on the way, so that no address can do more than it says.
"""

from __future__ import annotations

from collections.abc import Iterable

from screening.accounts.models import Scope
from screening.accounts.policies import Permission
from screening.core.errors import Forbidden

_READ = frozenset(
    {
        Permission.VIEW_PATIENTS,
        Permission.VIEW_STUDIES,
        Permission.CREATE_EXPORTS,
        Permission.COMPARE_READERS,
        Permission.VIEW_INSIGHT,
    }
)
_UPLOAD = frozenset(
    {
        Permission.EDIT_PATIENTS,
        Permission.UPLOAD_STUDIES,
        Permission.TRACK_UPLOADS,
        Permission.RETRY_JOBS,
    }
)
_CLINICAL = frozenset(
    {
        Permission.RECORD_DIAGNOSES,
        Permission.CLAIM_STUDIES,
        Permission.WRITE_READINGS,
        Permission.ISSUE_REPORTS,
    }
)
SCOPE_PERMISSIONS: dict[str, frozenset[Permission]] = {
    Scope.READ: _READ,
    Scope.UPLOAD: _UPLOAD,
    Scope.CLINICAL: _CLINICAL,
    # Whatever nobody has put elsewhere: a new permission is closed to all other tokens.
    Scope.ADMIN: frozenset(Permission) - _READ - _UPLOAD - _CLINICAL,
}
# Whoever sends an X-ray or signs a reading must find the patient; the address decides whether
# what is found may be read.
_NEEDED_TO_FIND = frozenset({Permission.VIEW_PATIENTS, Permission.VIEW_STUDIES})


class TokenScope(Forbidden):
    """The token is good, but was not made for this."""

    code = "token_scope"


def scope_of(permission: Permission) -> str:
    """The one scope that lets ``permission`` through."""
    return next(scope for scope, lets in SCOPE_PERMISSIONS.items() if permission in lets)


def reach(scopes: Iterable[str]) -> frozenset[str]:
    """What the policy may grant somebody who comes with a token of these scopes."""
    granted = [SCOPE_PERMISSIONS.get(scope, frozenset()) for scope in scopes]
    return _NEEDED_TO_FIND.union(*granted)
