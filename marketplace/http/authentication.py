"""Who asks: the bearer of a key, or a person signed in to the console."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework import authentication
from rest_framework.request import Request

from inventory import keys, organisations
from inventory.actors import Actor
from inventory.errors import DomainError
from inventory.models import User
from marketplace.http import limits

# The console keeps the public id of the organisation a person acts for under this name.
SESSION_ORGANISATION = "organisation"


class KeyInQuery(DomainError):
    """A key in an address ends up in logs and histories; it must be revoked."""

    code = "key_in_query"
    title = "A key must not stand in the address; revoke it"
    status = 400


class NotAKey(DomainError):
    """The Authorization header holds something else than a bearer key."""

    code = "unauthenticated"
    title = "Send Authorization: Bearer ck_live_…"
    status = 401


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Stands where DRF expects a user. `pk` is the person who made the key, if any."""

    pk: int | None
    is_authenticated: bool = True
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Identity:
    actor: Actor
    user: User | KeyHolder


def identify(request: HttpRequest) -> Identity | None:
    """Who sent the request by key; found once and kept. Raises what it raised before."""
    found = getattr(request, "_identity", None)
    if found is None:
        try:
            found = _by_key(request) or _NOBODY
        except DomainError as error:
            found = error
        request._identity = found  # type: ignore[attr-defined]
    if isinstance(found, DomainError):
        raise found
    return found if isinstance(found, Identity) else None


_NOBODY = object()


def _by_key(request: HttpRequest) -> Identity | None:
    if "ck_live_" in request.META.get("QUERY_STRING", ""):
        raise KeyInQuery()
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if not header:
        return None
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer" or not text.isascii():
        raise NotAKey()
    address = address_of(request)
    try:
        key, actor = keys.authenticate(text=text.strip(), ip=address, at=instant(request))
    except keys.BadKey:
        limits.count_guess(address)  # a valid key from a shared address is served all the same
        raise
    request.actor = actor  # type: ignore[attr-defined]
    return Identity(actor, KeyHolder(key.created_by_id))


def by_session(request: HttpRequest) -> Identity | None:
    """The signed-in person, for the organisation chosen in the console, else the first by name."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.is_active:
        return None
    chosen = request.session.get(SESSION_ORGANISATION)
    memberships = organisations.memberships_of(user=user, at=instant(request))
    if not memberships:
        return None
    mine = next((m for m in memberships if m.organisation.public_id == chosen), memberships[0])
    actor = organisations.actor_of_membership(user=user, membership=mine)
    request.actor = actor  # type: ignore[attr-defined]
    return Identity(actor, user)


def address_of(request: HttpRequest) -> str:
    """The client's address; behind n trusted proxies the n-th from the right."""
    proxies = settings.TRUSTED_PROXY_COUNT
    if proxies:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        if len(hops) >= proxies and hops[-proxies]:
            return str(hops[-proxies])
    return str(request.META.get("REMOTE_ADDR", ""))


def instant(request: HttpRequest) -> datetime:
    at = getattr(request, "at", None)
    return at if isinstance(at, datetime) else datetime.now(UTC)


class KeyAuthentication(authentication.BaseAuthentication):
    """Authorization: Bearer ck_live_…"""

    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        identity = identify(request._request)
        return None if identity is None else (identity.user, identity.actor)

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="cardhour"'


class ConsoleAuthentication(authentication.SessionAuthentication):
    """The console's session cookie, always with its CSRF token."""

    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        if not request._request.COOKIES.get(settings.SESSION_COOKIE_NAME):
            return None
        identity = by_session(request._request)
        if identity is None:
            return None
        self.enforce_csrf(request)
        return identity.user, identity.actor
