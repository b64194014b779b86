"""Addresses and secrets of channels, encrypted at rest with the keys of wrapping."""

from __future__ import annotations

import json
from typing import Any

from inventory import wrapping
from inventory.errors import DomainError


class ChannelUnreadable(DomainError):
    """No configured key opens it."""

    code = "channel_unreadable"
    title = "The channel's address cannot be read"
    status = 500


def seal(facts: dict[str, str]) -> bytes:
    """Raises ImproperlyConfigured without CREDENTIAL_KEYS."""
    return wrapping.wrap(json.dumps(facts))


def unseal(content: Any) -> dict[str, str]:
    """Raises ChannelUnreadable."""
    try:
        found: dict[str, str] = json.loads(wrapping.unwrap(content))
    except (wrapping.CredentialUnreadable, ValueError) as error:
        raise ChannelUnreadable from error
    return found
