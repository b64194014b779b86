"""Secrets at rest: encrypted with keys that rotate, the newest of CREDENTIAL_KEYS first."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

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
