"""Replies kept by key: the same request gets the same reply and does nothing again."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.sessions.models import Session
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

    def again(self, record: IdempotencyRecord) -> HttpResponse:
        response = HttpResponse(
            bytes(record.body), status=record.status, content_type=record.content_type or None
        )
        if record.location:
            response["Location"] = record.location
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


def read_reply(reply: Reply) -> IdempotencyRecord | None:
    return IdempotencyRecord.objects.filter(
        organisation_id=reply.organisation_id, key=reply.key
    ).first()


def store_reply(reply: Reply, response: HttpResponse, *, at: datetime) -> None:
    """Keeps a reply that did something: it commits with its effect."""
    IdempotencyRecord.objects.create(
        organisation_id=reply.organisation_id,
        key=reply.key,
        request_sha256=reply.request_sha256,
        status=response.status_code,
        content_type=response.get("Content-Type", ""),
        body=response.content,
        location=response.get("Location", ""),
        created_at=at,
    )
