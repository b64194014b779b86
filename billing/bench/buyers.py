"""Organisations that a load needs: verified, and where they buy with the money for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from billing import receipts
from inventory import keys, organisations
from inventory.actors import Actor
from inventory.models import Membership, Organisation, User

WALLET_MINOR = 10**14


@dataclass(frozen=True, slots=True)
class Buyer:
    """A tenant with a full wallet, and its key."""

    organisation_pk: int
    key: str


def organisation(name: str, at: datetime, actor: Actor, **kinds: Any) -> Organisation:
    """Registered and verified."""
    row = organisations.register(name=name, at=at, actor=actor, **kinds)
    return organisations.decide(organisation_id=row.pk, verified=True, at=at, actor=actor)


def buyer(name: str, at: datetime, actor: Actor) -> Buyer:
    """The tenant of that name, made with a full wallet where there is none, and a new key."""
    with transaction.atomic():
        tenant = Organisation.objects.filter(name=name).first()
        if tenant is None:
            tenant = organisation(name, at, actor, is_tenant=True)
            _fill(tenant, at, actor)
        _, key = keys.issue(
            organisation_id=tenant.pk,
            name=actor.label,
            scopes=organisations.ROLE_SCOPES[Membership.Role.OWNER],
            at=at,
            actor=actor,
        )
    return Buyer(tenant.pk, key)


def _fill(tenant: Organisation, at: datetime, actor: Actor) -> None:
    recorder, approver = (
        User.objects.filter(email=email).first() or User.objects.create_user(email, None)
        for email in ("recorder@bench.example", "approver@bench.example")
    )
    receipt = receipts.record(
        tenant_id=tenant.pk,
        bank_reference=f"BENCH {tenant.pk}",
        payer_name=tenant.name,
        amount_minor=WALLET_MINOR,
        currency="CNY",
        received_date=at.date(),
        at=at,
        actor=actor,
        user=recorder,
    )
    receipts.approve(receipt_public_id=receipt.public_id, at=at, actor=actor, user=approver)
