"""What the caller may do: each view names the scope of each of its actions."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from inventory import journal
from inventory.actors import Actor
from inventory.errors import Forbidden
from inventory.models import Membership
from marketplace.http.authentication import instant


class ScopeMissing(Forbidden):
    """The caller is known and lacks the scope of this action."""

    code = "scope_missing"
    title = "The key lacks a scope"


class ProjectKey(Forbidden):
    """A key bound to one project sees that project's deals, and nothing of the organisation's."""

    code = "project_key"
    title = "A key of one project is not served here"


def scope_of(view: Any, action: str) -> str | None:
    """The scope an action needs, None where any caller may. Raises where none is declared."""
    scopes = view.required_scopes
    if action not in scopes:
        raise ImproperlyConfigured(f"{view.__class__.__name__} names no scope for {action}")
    found: str | None = scopes[action]
    return found


class HasScope(BasePermission):
    """Fails closed: an action without a declared scope serves nobody.

    An auditor's reads are journalled.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        actor = request.auth
        if not isinstance(actor, Actor):
            raise NotAuthenticated()
        action = getattr(view, "action", None)
        if action in (None, "metadata"):  # a method the view does not serve: DRF answers 405
            return True
        scope = scope_of(view, action)
        if scope is not None and not actor.may(scope):
            raise ScopeMissing(scope=scope)
        if actor.project_id is not None and action not in view.for_projects:
            raise ProjectKey()
        if actor.role == Membership.Role.AUDITOR:
            journal.record(
                event="auditor.read",
                object_id=actor.label,
                actor=actor,
                at=instant(request._request),
                data={"path": request.get_full_path()[:500]},
            )
        return True
