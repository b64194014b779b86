"""Addresses and secrets of channels, encrypted at rest with the keys of credentials."""

from __future__ import annotations

import json
from typing import Any

from inventory import credentials
from inventory.errors import DomainError


class ChannelUnreadable(DomainError):
    """No configured key opens it."""

    code = "channel_unreadable"
    title = "The channel's address cannot be read"
    status = 500


def seal(facts: dict[str, str]) -> bytes:
    """Raises ImproperlyConfigured without CREDENTIAL_KEYS."""
    return credentials.wrap(json.dumps(facts))


def unseal(content: Any) -> dict[str, str]:
    """Raises ChannelUnreadable."""
    try:
        found: dict[str, str] = json.loads(credentials.unwrap(content))
    except (credentials.CredentialUnreadable, ValueError) as error:
        raise ChannelUnreadable from error
    return found
