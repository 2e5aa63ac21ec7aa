"""Who may call an API view. Like the marks of pages, each class says what it asks (``access``)."""

from __future__ import annotations

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from screening.accounts.policies import Permission, has_active_membership, memberships_with


class Public(BasePermission):
    """Open to everyone."""

    access: str = "public"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return True


class SignedIn(BasePermission):
    """Open to every active member of any site."""

    access: str = "signed_in"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return has_active_membership(request.user)


def requires_permission(
    permission: Permission, *, to_write: Permission | None = None
) -> type[BasePermission]:
    """A class that lets in people who hold ``permission`` at one site at least.

    Requests that change something need ``to_write`` where it is given. As with pages, the view
    still narrows its objects by ``visible_to``, and the service asks for the object's own site.
    """

    class Requires(BasePermission):
        access = permission
        access_to_write = to_write or permission

        def has_permission(self, request: Request, view: APIView) -> bool:
            safe = request.method in SAFE_METHODS
            needed = self.access if safe else self.access_to_write
            return memberships_with(request.user, needed).exists()

    return Requires
