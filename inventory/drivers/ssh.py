"""Keys that are derived rather than kept: the same for the same machine, in no engine's table."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.conf import settings


def derived(engine: str, name: str, use: str) -> Ed25519PrivateKey:
    """The key of a machine for one use (`host`, `user`); another after SECRET_KEY has changed."""
    text = f"{engine}:{use}:{name}".encode()
    return Ed25519PrivateKey.from_private_bytes(
        hmac.digest(settings.SECRET_KEY.encode(), text, "sha256")
    )


def private_text(key: Ed25519PrivateKey) -> str:
    """As a file for `ssh -i`."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def public_text(key: Ed25519PrivateKey) -> str:
    """As a line of authorized_keys."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def fingerprint(public: str) -> str:
    """As `ssh-keygen -l` prints it: SHA-256 over the wire form, base64 without padding."""
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
