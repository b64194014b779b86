"""The entry of every request: its name, its instant, its language, and its transaction.

Only here is a durable transaction opened. A POST that touches money or capacity names a key;
the reply is stored in the same transaction as its effect, so that a repeated request gets
the same reply and does nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from inventory import identifiers
from inventory.errors import Busy, DomainError
from marketplace.http import limits, problems
from marketplace.http.authentication import Identity, by_session, identify
from marketplace.http.idempotency import Reply, Stored, key_of, store_reply

SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}
LOCK_TIMEOUT = "3s"
STATEMENT_TIMEOUT = "20s"


class TooLarge(DomainError):
    """The body has more bytes than this address reads."""

    code = "too_large"
    title = "The request is too large"
    status = 413


class LengthRequired(DomainError):
    """The body comes in chunks, without a Content-Length: no server here reads such a body."""

    code = "length_required"
    title = "The request has to say how long its body is"
    status = 411


class InProgress(DomainError):
    """The first request with this key has not been answered yet."""

    code = "idempotency_in_progress"
    title = "A request with this key is being served"
    status = 409
    retry_after_seconds = 1


class KeyReused(DomainError):
    """The key was used for another request."""

    code = "idempotency_key_reuse"
    title = "This key was used for another request"
    status = 422


class RequestMiddleware:
    """Gives each request an id, an instant and, under /api, a language; sets reply headers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        request.id = identifiers.new("req")
        request.at = datetime.now(UTC)
        if not problems.is_api(request):
            response = self.get_response(request)
        else:
            with translation.override(_language(request)):
                response = self.get_response(request)
            response.setdefault("Cache-Control", "no-store")
            response.setdefault("Content-Language", _language(request))
            if grant := getattr(request, "rate_grant", None):
                _rate_headers(response, grant)
        response["X-Request-Id"] = request.id
        return response


def _language(request: HttpRequest) -> str:
    """English, unless the client prefers Chinese."""
    best, quality = "en", 0.0
    for part in request.META.get("HTTP_ACCEPT_LANGUAGE", "")[:200].split(","):
        tag, _, weight = part.partition(";q=")
        try:
            weighs = float(weight or 1)
        except ValueError:
            continue
        tag = tag.strip().lower()
        if tag[:2] in ("zh", "en") and weighs > quality:
            best, quality = ("zh-hans" if tag.startswith("zh") else "en"), weighs
    return best


def _rate_headers(response: HttpResponse, grant: limits.Grant) -> None:
    window = limits.WINDOW_SECONDS
    response["RateLimit-Policy"] = f'"caller";q={grant.limit};w={window}'
    reset = round((grant.limit - grant.remaining) / grant.limit * window)
    response["RateLimit"] = f'"caller";r={grant.remaining};t={reset}'


class EntryMiddleware:
    """Runs views that declare `idempotent` in a transaction, once per key where they need one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: Any, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        cls = getattr(view, "cls", None) or getattr(view, "view_class", None)
        if request.method in SAFE or cls is None or not hasattr(cls, "idempotent"):
            return None
        api = problems.is_api(request)
        try:
            identity = _identity(request, api)
            if identity is None:
                return None  # the view refuses it itself, its body unread
            if api:
                _read_body(request, cls)
            action = (getattr(view, "actions", None) or {}).get(request.method.lower())
            if action in getattr(cls, "reading", ()):
                return None
            return _enter(request, view, cls, args, kwargs, identity, api)
        except DomainError as error:
            if not api:
                return problems.as_page(request, error)
            return problems.from_domain(request, error)
        except DatabaseError as error:
            response = problems.respond(request, error) if api else None
            if response is None:
                raise
            return response


def _identity(request: Any, api: bool) -> Identity | None:
    if api:
        try:
            found = identify(request)
        except DomainError:
            return None
        if found is not None or not request.COOKIES.get(settings.SESSION_COOKIE_NAME):
            return found
    return by_session(request)


def _read_body(request: Any, cls: Any) -> None:
    """Reads the body whole, unless it says that it is larger than the view reads."""
    limit = getattr(cls, "body_limit", settings.API_BODY_LIMIT)
    if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
        raise LengthRequired()
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if length > limit:
        raise TooLarge(limit_bytes=limit)
    if not request._read_started:
        request._body = request.read(limit + 1)
        if len(request._body) > limit:
            raise TooLarge(limit_bytes=limit)


def _enter(
    request: Any,
    view: Any,
    cls: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    identity: Identity,
    api: bool,
) -> HttpResponse:
    action = (getattr(view, "actions", None) or {}).get(request.method.lower())
    needs = cls.idempotent if isinstance(cls.idempotent, bool) else action in cls.idempotent
    reply: Reply | None = None
    if needs:
        reply = Reply(
            organisation_id=identity.actor.organisation_id or 0,
            key=key_of(request, api),
            request_sha256=_fingerprint(request, identity, api),
        )
    with transaction.atomic(durable=True):
        request.at, stored = _begin(reply)
        if reply is not None and stored is not None:
            if stored.request_sha256 != reply.request_sha256:
                raise KeyReused()
            scopes = getattr(cls, "required_scopes", {})
            scope = scopes.get(action) if isinstance(scopes, dict) else None
            if scope is None or identity.actor.may(scope):
                return stored.again()
        response: HttpResponse = view(request, *args, **kwargs)
        if hasattr(response, "render"):
            response.render()
        if response.status_code >= 400:
            transaction.set_rollback(True)
        elif reply is not None:
            # One that shows a secret names what is kept in its place.
            store_reply(reply, getattr(response, "kept_as", response), at=request.at)
    return response


def _begin(reply: Reply | None) -> tuple[datetime, Stored | None]:
    """The database's instant; where there is a key its lock, and the reply stored for it.

    Raises InProgress, Busy.
    """
    named = (None, None, None) if reply is None else (reply.lock, reply.organisation_id, reply.key)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT * FROM entry_begin(%s, %s, %s, %s, %s)",
                [LOCK_TIMEOUT, STATEMENT_TIMEOUT, *named],
            )
            at, granted, *found = cursor.fetchone()
    except OperationalError as error:
        raise Busy() from error
    if not granted:
        raise InProgress()
    assert isinstance(at, datetime)
    return at.astimezone(UTC), None if found[0] is None else Stored.of(*found)


def _fingerprint(request: Any, identity: Identity, api: bool) -> bytes:
    """What makes two requests the same: method, path, project and body."""
    digest = hashlib.sha256()
    for part in (request.method, request.get_full_path(), str(identity.actor.project_id)):
        digest.update(part.encode() + b"\0")
    if api:
        digest.update(request.body)
        return digest.digest()
    for name, values in sorted(request.POST.lists()):
        if name not in ("csrfmiddlewaretoken", "idempotency_key"):
            digest.update(repr((name, values)).encode())
    for name, upload in sorted(request.FILES.items()):
        digest.update(name.encode() + hashlib.sha256(upload.read()).digest())
        upload.seek(0)
    return digest.digest()
