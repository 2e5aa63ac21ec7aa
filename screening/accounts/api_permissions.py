"""Who may call an API view. Like the marks of pages, each class says what it asks (``access``)."""

from __future__ import annotations

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from screening.accounts.models import ApiToken, Scope
from screening.accounts.policies import Permission, has_active_membership, memberships_with
from screening.accounts.scopes import TokenScope, scope_of


class Public(BasePermission):
    """Open to everyone."""

    access: str = "public"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return True


class SignedIn(BasePermission):
    """Open to every active member of any site, and to every token: shows nobody's data."""

    access: str = "signed_in"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return has_active_membership(request.user)


class OwnAccount(SignedIn):
    """Open to every active member, for what concerns the own account."""

    scope = Scope.ADMIN

    def has_permission(self, request: Request, view: APIView) -> bool:
        require_scope(request, self.scope)
        return super().has_permission(request, view)


def require_scope(request: Request, scope: str) -> None:
    """Raise ``TokenScope`` where the request comes with a token that lacks ``scope``."""
    if isinstance(request.auth, ApiToken) and scope not in request.auth.scopes:
        raise TokenScope(f"This token lacks the scope “{scope}”. Make one that has it.")


def may_be_shown(request: Request, permission: Permission) -> bool:
    """Whether role and token's scope both let the caller see what ``permission`` is for."""
    token = request.auth
    if isinstance(token, ApiToken) and scope_of(permission) not in token.scopes:
        return False
    return memberships_with(request.user, permission).exists()


def requires_permission(
    permission: Permission, *, to_write: Permission | None = None, asked_later: bool = False
) -> type[BasePermission]:
    """A class that lets in people who hold ``permission`` at one site at least.

    Requests that change something need ``to_write`` where it is given, and a token its scope. As
    with pages, the view still narrows its objects by ``visible_to``, and the service asks for
    the object's own site. With ``asked_later`` that is the only question beside the token's
    scope: for objects whose very existence outsiders must not learn, where 403 before 404 would
    be a hint.
    """

    class Requires(BasePermission):
        access = permission
        access_to_write = to_write or permission

        def has_permission(self, request: Request, view: APIView) -> bool:
            safe = request.method in SAFE_METHODS
            needed = self.access if safe else self.access_to_write
            require_scope(request, scope_of(needed))
            if asked_later:
                return has_active_membership(request.user)
            return memberships_with(request.user, needed).exists()

    return Requires
