"""How a customer gets into its machines: encrypted at rest, told to nobody else, gone after it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from cryptography.fernet import InvalidToken
from django.db import transaction

from inventory import actors, journal
from inventory.actors import Actor
from inventory.drivers.base import Access
from inventory.errors import NotFound
from inventory.models import Allocation, Credential
from inventory.wrapping import CredentialUnreadable, cipher


@dataclass(frozen=True, slots=True)
class Secret:
    """A credential in the clear: for the reply to its tenant, never for a log."""

    kind: str
    machines: tuple[Access, ...] = field(repr=False)
    fingerprint: str
    created_at: datetime


def issue(*, allocation_id: int, kind: str, machines: Sequence[Access], at: datetime) -> Credential:
    """The allocation has one live credential of this kind: the ways into these machines.

    Another live one of the kind is revoked. Idempotent: the same ways keep their row.
    Takes the allocation's lock. Raises ImproperlyConfigured without CREDENTIAL_KEYS.
    """
    secret = json.dumps([asdict(each) for each in machines])
    with transaction.atomic():
        allocation = Allocation.objects.select_for_update(of=("self",), no_key=True).get(
            pk=allocation_id
        )
        fingerprint = _fingerprint(allocation.public_id, secret)
        live: Credential | None = allocation.credentials.filter(kind=kind, revoked_at=None).first()
        if live is not None and live.fingerprint == fingerprint:
            live.told_at = at
            live.save(update_fields=["told_at"])
            return live
        if live is not None:
            _revoke(live, at)
            _journal("credential.revoked", live, allocation, actors.system("provisioning"), at)
        row = Credential.objects.create(
            allocation=allocation,
            kind=kind,
            ciphertext=_seal(allocation.public_id, kind, secret),
            fingerprint=fingerprint,
            created_at=at,
        )
        _journal("credential.issued", row, allocation, actors.system("provisioning"), at)
    return row


def reveal(*, allocation_id: int, at: datetime, actor: Actor, kind: str | None = None) -> Secret:
    """The newest live secret of the allocation, in the clear; journalled with who asked.

    For the tenant alone: its provider and the operator are told NotFound as well. Raises
    NotFound, CredentialUnreadable. Not idempotent: each call is an entry in the journal.
    """
    with transaction.atomic():
        found = Credential.objects.select_related("allocation").filter(
            allocation_id=allocation_id,
            allocation__tenant_id=actor.organisation_id,
            revoked_at=None,
        )
        if kind is not None:
            found = found.filter(kind=kind)
        row = found.select_for_update(of=("self",)).order_by("-created_at", "-pk").first()
        if actor.organisation_id is None or row is None:
            raise NotFound("There is no credential")
        text = _open(row, row.allocation.public_id)
        if row.revealed_at is None:
            row.revealed_at = at
            row.save(update_fields=["revealed_at"])
        _journal("credential.revealed", row, row.allocation, actor, at)
    return Secret(
        kind=row.kind,
        machines=tuple(_access(**machine) for machine in json.loads(text)),
        fingerprint=row.fingerprint,
        created_at=row.created_at,
    )


def _access(*, host_fingerprints: list[str], **facts: Any) -> Access:
    return Access(host_fingerprints=tuple(host_fingerprints), **facts)


def carry_over(*, from_id: int, to_id: int, at: datetime) -> int:
    """Every live way in belongs to the other allocation from now on; how many there were.

    The same secrets, sealed anew. Idempotent. Locks the credentials. Raises
    CredentialUnreadable, ImproperlyConfigured without CREDENTIAL_KEYS.
    """
    actor = actors.system("provisioning")
    with transaction.atomic():
        into = Allocation.objects.get(pk=to_id)
        rows = (
            Credential.objects.select_for_update(of=("self",))
            .select_related("allocation")
            .filter(allocation_id=from_id, revoked_at=None)
            .order_by("pk")
        )
        for row in rows:
            secret = _open(row, row.allocation.public_id)
            _revoke(row, at)
            _journal("credential.revoked", row, row.allocation, actor, at)
            new = Credential.objects.create(
                allocation=into,
                kind=row.kind,
                ciphertext=_seal(into.public_id, row.kind, secret),
                fingerprint=_fingerprint(into.public_id, secret),
                created_at=at,
            )
            _journal("credential.issued", new, into, actor, at)
    return len(rows)


def revoke_all(*, allocation_id: int, at: datetime) -> int:
    """No live credential is left and their ciphertexts are destroyed; how many there were.

    Idempotent. Locks the credentials.
    """
    with transaction.atomic():
        rows = list(
            Credential.objects.select_for_update(of=("self",))
            .select_related("allocation")
            .filter(allocation_id=allocation_id, revoked_at=None)
            .order_by("pk")
        )
        for row in rows:
            _revoke(row, at)
            actor = actors.system("provisioning")
            _journal("credential.revoked", row, row.allocation, actor, at)
    return len(rows)


def rotate(*, batch: int = 500) -> int:
    """Every live secret is encrypted with the first of CREDENTIAL_KEYS; how many were redone.

    Commits batch by batch, so it may be killed and run again. Safe beside readers and writers.
    Raises CredentialUnreadable at the first row that no key opens.
    """
    keys = cipher()
    done = last = 0
    while True:
        with transaction.atomic():
            rows = list(
                Credential.objects.select_for_update(of=("self",))
                .filter(revoked_at=None, pk__gt=last)
                .order_by("pk")[:batch]
            )
            for row in rows:
                try:
                    row.ciphertext = keys.rotate(bytes(row.ciphertext))
                except InvalidToken:
                    raise CredentialUnreadable(f"No key opens {row.public_id}") from None
            Credential.objects.bulk_update(rows, ["ciphertext"])
        if not rows:
            return done
        done, last = done + len(rows), rows[-1].pk


def _seal(allocation: str, kind: str, secret: str) -> bytes:
    """The allocation's id travels inside, so that a ciphertext moved to another row is refused."""
    envelope = {"allocation": allocation, "kind": kind, "secret": secret}
    return cipher().encrypt(json.dumps(envelope).encode())


def _open(row: Credential, allocation: str) -> str:
    try:
        envelope = json.loads(cipher().decrypt(bytes(row.ciphertext)))
    except InvalidToken:
        raise CredentialUnreadable(f"No key opens {row.public_id}") from None
    if (envelope["allocation"], envelope["kind"]) != (allocation, row.kind):
        raise CredentialUnreadable(f"{row.public_id} was written for another allocation")
    return str(envelope["secret"])


def _revoke(row: Credential, at: datetime) -> None:
    row.revoked_at = at
    row.ciphertext = b""
    row.save(update_fields=["revoked_at", "ciphertext"])


def _fingerprint(allocation: str, secret: str) -> str:
    """Tells two secrets apart without telling either."""
    return hashlib.sha256(f"{allocation}:{secret}".encode()).hexdigest()[:32]


def _journal(
    event: str, row: Credential, allocation: Allocation, actor: Actor, at: datetime
) -> None:
    journal.record(
        event=event,
        object_id=row.public_id,
        actor=actor,
        at=at,
        provider_id=allocation.provider_id,
        tenant_id=allocation.tenant_id,
        data={"allocation": allocation.public_id, "kind": row.kind},
    )
