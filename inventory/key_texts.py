"""The text of a machine's key: `<kind>_live_<lookup>_<secret><checksum>`."""

from __future__ import annotations

import hashlib
import secrets
import zlib

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LOOKUP_LENGTH = 8
_SECRET_LENGTH = 43  # 32 random bytes in base 62
_CHECKSUM_LENGTH = 6


def make(kind: str) -> tuple[str, bytes, str]:
    """A new key: what it is found by, the digest that is kept, and the text, which is not."""
    lookup, secret = _random_text(_LOOKUP_LENGTH), _random_text(_SECRET_LENGTH)
    text = f"{kind}_live_{lookup}_{secret}{_checksum(lookup + secret)}"
    return lookup, _digest(secret), text


def read(kind: str, text: str) -> tuple[str, bytes] | None:
    """What a key is found by and the digest to compare; None where it is no key of that kind.

    The secret is random, so a plain digest keeps it safe.
    """
    parts = text.split("_")
    if len(parts) != 4 or parts[:2] != [kind, "live"]:
        return None
    lookup, tail = parts[2], parts[3]
    secret, checksum = tail[:_SECRET_LENGTH], tail[_SECRET_LENGTH:]
    if not tail.isascii() or not lookup.isascii() or checksum != _checksum(lookup + secret):
        return None
    return lookup, _digest(secret)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """Lets a leak scanner, and a typing error, be told from a key without a look-up."""
    number = zlib.crc32(text.encode())
    letters = []
    for _ in range(_CHECKSUM_LENGTH):
        number, rest = divmod(number, 62)
        letters.append(_ALPHABET[rest])
    return "".join(letters)
