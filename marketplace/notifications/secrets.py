"""Addresses and secrets of channels, encrypted at rest with the keys of credentials."""

from __future__ import annotations

import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from inventory.errors import DomainError


class ChannelUnreadable(DomainError):
    """No configured key opens it."""

    code = "channel_unreadable"
    title = "The channel's address cannot be read"
    status = 500


def seal(facts: dict[str, str]) -> bytes:
    """Raises ImproperlyConfigured without CREDENTIAL_KEYS."""
    return _cipher().encrypt(json.dumps(facts).encode())


def unseal(content: Any) -> dict[str, str]:
    """Raises ChannelUnreadable."""
    try:
        found: dict[str, str] = json.loads(_cipher().decrypt(bytes(content)))
    except (InvalidToken, ValueError) as error:
        raise ChannelUnreadable from error
    return found


def _cipher() -> MultiFernet:
    if not settings.CREDENTIAL_KEYS:
        raise ImproperlyConfigured("CREDENTIAL_KEYS is not set")
    return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])
