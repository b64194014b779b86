"""Replies kept by key: the same request gets the same reply and does nothing again."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpResponse

from inventory.errors import DomainError
from marketplace.models import IdempotencyRecord

KEPT = timedelta(days=30)  # how long the same key gets the same reply
_KEY = re.compile(r"^[\x21-\x7e]{1,255}$")


class KeyRequired(DomainError):
    """The request touches money or capacity and names no key, or not a usable one."""

    code = "idempotency_key_required"
    title = "This request needs an Idempotency-Key of 1 to 255 printable characters"
    status = 400


@dataclass(frozen=True, slots=True)
class Reply:
    """One (organisation, key), and what the request that names it looks like."""

    organisation_id: int
    key: str
    request_sha256: bytes

    @property
    def lock(self) -> int:
        """The advisory lock of this key: 64 bits of a digest, signed."""
        digest = hashlib.sha256(f"idempotency:{self.organisation_id}:{self.key}".encode())
        return int.from_bytes(digest.digest()[:8], "big", signed=True)


@dataclass(frozen=True, slots=True)
class Stored:
    """The reply that the first request with a key was given."""

    request_sha256: bytes
    status: int
    content_type: str
    body: bytes
    location: str

    @classmethod
    def of(cls, sha256: Any, status: int, content_type: str, body: Any, location: str) -> Stored:
        return cls(bytes(sha256), status, content_type, bytes(body), location)

    def again(self) -> HttpResponse:
        response = HttpResponse(
            self.body, status=self.status, content_type=self.content_type or None
        )
        if self.location:
            response["Location"] = self.location
        response["Idempotency-Replayed"] = "true"
        return response


def key_of(request: Any, api: bool) -> str:
    """The header's key, or a console form's hidden one. Raises KeyRequired."""
    if api:
        key = request.META.get("HTTP_IDEMPOTENCY_KEY", "")
    else:
        key = request.POST.get("idempotency_key", "")
    if not _KEY.match(key):
        raise KeyRequired()
    return str(key)


def forget(*, at: datetime) -> int:
    """Replies older than a key is good for, and sessions that are over, are gone; how many."""
    replies, _ = IdempotencyRecord.objects.filter(created_at__lt=at - KEPT).delete()
    sessions, _ = Session.objects.filter(expire_date__lt=at).delete()
    return replies + sessions


def store_reply(reply: Reply, response: HttpResponse, *, at: datetime) -> None:
    """Keeps a reply that did something: it commits with its effect."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO marketplace_idempotencyrecord (organisation_id, key, request_sha256,"
            " status, content_type, body, location, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                reply.organisation_id,
                reply.key,
                reply.request_sha256,
                response.status_code,
                response.get("Content-Type", ""),
                response.content,
                response.get("Location", ""),
                at,
            ],
        )
