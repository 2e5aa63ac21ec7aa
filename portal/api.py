"""The API's floor: what holds where a view says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:  # At run time this would be a circle: views read their defaults from here.
    from rest_framework.views import APIView


class DenyUnlessDeclared(BasePermission):
    """The default permission: a view that forgot to name its own is closed to everyone."""

    message = "Nobody may use this yet."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return False
