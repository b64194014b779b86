"""Secrets at rest: encrypted with keys that rotate, the newest of CREDENTIAL_KEYS first."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import QuerySet

from inventory.errors import DomainError


class CredentialUnreadable(DomainError):
    """No configured key opens it, or it was written for another allocation."""

    code = "credential_unreadable"
    title = "The credential cannot be read"
    status = 500


def wrap(text: str) -> bytes:
    """A secret, to be kept. Raises ImproperlyConfigured without CREDENTIAL_KEYS."""
    return cipher().encrypt(text.encode())


def rewrap(ciphertext: bytes) -> bytes:
    """The same secret under the first of CREDENTIAL_KEYS. Raises CredentialUnreadable."""
    try:
        return cipher().rotate(bytes(ciphertext))
    except InvalidToken as error:
        raise CredentialUnreadable() from error


def rewrap_each(rows: QuerySet[Any], field: str) -> int:
    """What each of the rows keeps in that field is under the first of CREDENTIAL_KEYS; how many.

    Locks one row after the other, each in a transaction of its own, so it may be killed and run
    again. One that forgot its secret meanwhile is passed over. Raises CredentialUnreadable.
    """
    done = 0
    for pk in list(rows.exclude(**{field: None}).order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            row = rows.model._default_manager.select_for_update(of=("self",), no_key=True).get(
                pk=pk
            )
            if (content := getattr(row, field)) is None:
                continue
            setattr(row, field, rewrap(content))
            row.save(update_fields=[field])
            done += 1
    return done


def unwrap(ciphertext: bytes) -> str:
    """What was wrapped. Raises CredentialUnreadable."""
    try:
        return cipher().decrypt(bytes(ciphertext)).decode()
    except InvalidToken as error:
        raise CredentialUnreadable() from error


def cipher() -> MultiFernet:
    """Fails loudly rather than keep a secret in the clear."""
    if not settings.CREDENTIAL_KEYS:
        raise ImproperlyConfigured("set CREDENTIAL_KEYS: lease credentials cannot be kept")
    return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])
