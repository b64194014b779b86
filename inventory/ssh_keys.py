"""Public keys: read strictly, kept for an organisation, let in by its later deals."""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from django.db import transaction

from inventory import identifiers, journal
from inventory.actors import Actor
from inventory.drivers import ssh
from inventory.errors import DomainError, Invalid
from inventory.models import Organisation, SshKey

MOST_KEYS = 20  # as many as a deal may name
MOST_LETTERS = 1000
LEAST_RSA_BITS = 2048
MOST_RSA_BITS = 4096
# What today's servers take by default. DSA is gone from OpenSSH, and certificates are no keys.
ALGORITHMS = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)


class SshKeyInvalid(Invalid):
    """A line is no public key in OpenSSH's form: nobody could log in with it."""

    code = "ssh_key_invalid"
    title = "This is no public SSH key"


class PrivateKeyGiven(Invalid):
    """A private key was sent where a public one belongs; nothing of it was kept."""

    code = "private_key_given"
    title = "This is a private key: keep it to yourself, and make a new one"


class SshKeyExists(DomainError):
    """The organisation has this very key already."""

    code = "ssh_key_exists"
    title = "This key is there already"


class TooManySshKeys(DomainError):
    """An organisation has twenty keys at the most."""

    code = "too_many_ssh_keys"
    title = "There are too many keys"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A line of `authorized_keys`, taken apart. It has no options: they could open more."""

    algorithm: str
    body: str  # base64
    comment: str
    fingerprint: str  # SHA256:…

    @property
    def line(self) -> str:
        return " ".join(filter(None, (self.algorithm, self.body, self.comment)))


def parse(text: str) -> PublicKey:
    """One public key, as the file `id_….pub` has it. Raises SshKeyInvalid, PrivateKeyGiven."""
    if "PRIVATE KEY" in text or text.lstrip().startswith("-----BEGIN OPENSSH"):
        raise PrivateKeyGiven
    line = text.strip()
    if len(line) > MOST_LETTERS or any(unicodedata.category(c) in ("Cc", "Cf") for c in line):
        raise SshKeyInvalid(line=line[:40])
    algorithm, _, rest = line.partition(" ")
    body, _, comment = rest.strip().partition(" ")
    if algorithm not in ALGORITHMS:
        raise SshKeyInvalid(f"The algorithm is one of {', '.join(ALGORITHMS)}", line=line[:40])
    try:
        base64.b64decode(body, validate=True)
        key = load_ssh_public_key(f"{algorithm} {body}".encode())
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise SshKeyInvalid(line=line[:40]) from error
    if isinstance(key, RSAPublicKey) and not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
        raise SshKeyInvalid("An RSA key has 2048 to 4096 bits", line=line[:40])
    return PublicKey(algorithm, body, comment.strip(), ssh.fingerprint(f"{algorithm} {body}"))


def add(*, organisation_id: int, name: str, text: str, at: datetime, actor: Actor) -> SshKey:
    """Later deals of the organisation that name no keys let this one in.

    Locks the organisation. Raises Invalid without a name, SshKeyInvalid, PrivateKeyGiven,
    SshKeyExists, TooManySshKeys. Not idempotent.
    """
    if not name.strip():
        raise Invalid("The key needs a name")
    key = parse(text)
    with transaction.atomic():
        rows = Organisation.objects.select_for_update(of=("self",), no_key=True)
        organisation = rows.get(pk=organisation_id)
        live = organisation.ssh_keys.filter(removed_at=None)
        if live.filter(fingerprint=key.fingerprint).exists():
            raise SshKeyExists(fingerprint=key.fingerprint)
        if live.count() >= MOST_KEYS:
            raise TooManySshKeys(most=MOST_KEYS)
        row = SshKey.objects.create(
            organisation=organisation,
            name=name.strip()[:80],
            algorithm=key.algorithm,
            line=key.line,
            fingerprint=key.fingerprint,
            created_at=at,
        )
        _journal("sshkey.added", row, at, actor)
    return row


def remove(*, key_public_id: str, at: datetime, actor: Actor) -> SshKey:
    """Later deals do not let it in; those that are made keep the keys they were made with.

    Locks the key. Raises NotFound, also where it was removed before.
    """
    with transaction.atomic():
        rows = SshKey.objects.visible_to(actor).filter(removed_at=None)
        row = identifiers.find(
            rows.select_for_update(of=("self",), no_key=True), key_public_id, "No such key"
        )
        row.removed_at = at
        row.save(update_fields=["removed_at"])
        _journal("sshkey.removed", row, at, actor)
    return row


def lines_of(organisation_id: int) -> list[str]:
    """What a deal of the organisation freezes where it names no keys, oldest first."""
    rows = SshKey.objects.filter(organisation_id=organisation_id, removed_at=None)
    return list(rows.order_by("pk").values_list("line", flat=True))


def check(lines: Sequence[str]) -> None:
    """Raises SshKeyInvalid, PrivateKeyGiven."""
    for line in lines:
        parse(line)


def _journal(event: str, row: SshKey, at: datetime, actor: Actor) -> None:
    journal.record(
        event=event,
        object_id=row.public_id,
        actor=actor,
        at=at,
        tenant_id=row.organisation_id,
        data={"fingerprint": row.fingerprint, "name": row.name},
    )
