"""Overdue instalments that nobody hopes for any more: given up by two persons."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing import chart, ledger
from billing.ledger import Kind as Movement
from billing.models import Instalment, WriteOff
from billing.payments import SamePerson
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden, Invalid
from inventory.models import User

State = Instalment.State


class WriteOffAsked(DomainError):
    """Somebody asked for it before; another person decides."""

    code = "write_off_asked"
    title = "A write-off of this instalment waits for its decision"


class NoDebt(DomainError):
    """Only what is overdue, and was used or became a debt, can be given up."""

    code = "no_debt"
    title = "There is no debt to write off"


def ask(
    *, instalment_public_id: str, reason: str, at: datetime, actor: Actor, user: User
) -> Instalment:
    """One person of the operator asks to give an overdue instalment up; nothing is booked yet.

    Locks the instalment. Raises Forbidden, NotFound, Invalid without a reason, NoDebt,
    WriteOffAsked. Not idempotent.
    """
    if not reason.strip():
        raise Invalid("Say why the debt is given up")
    with transaction.atomic():
        row = _lock(instalment_public_id, actor)
        if row.open_minor <= 0 or not row.receivable_minor:
            raise NoDebt(state=row.state)
        if WriteOff.objects.filter(instalment=row).exists():
            raise WriteOffAsked
        WriteOff.objects.create(instalment=row, reason=reason[:200], asked_by=user, created_at=at)
        _record("instalment.write_off_asked", row, actor, at, reason)
    return row


def approve(*, instalment_public_id: str, at: datetime, actor: Actor, user: User) -> Instalment:
    """Another person agrees: what is open of it is an expense, and owed no more.

    Locks the instalment, then the receivable. Raises Forbidden, NotFound, SamePerson, NoDebt.
    Not idempotent: a second one finds it written off.
    """
    with transaction.atomic():
        row = _lock(instalment_public_id, actor)
        asked = WriteOff.objects.select_for_update().filter(instalment=row).first()
        if asked is None or row.state != State.OVERDUE:
            raise NoDebt(state=row.state)
        if asked.asked_by_id == user.pk:
            raise SamePerson
        owed = chart.receivable(row.tenant, row.currency)
        amount = min(row.receivable_minor - row.cleared_minor, ledger.lock([owed])[owed])
        if amount <= 0:
            raise NoDebt(state=row.state)
        row.ledger_transaction_id = ledger.post(
            kind=Movement.BAD_DEBT_WRITTEN_OFF,
            key=f"instalment:{row.public_id}:written_off",
            entries=[(chart.bad_debt(row.currency), amount), (owed, -amount)],
            at=at,
            actor=actor,
            reason=asked.reason,
            external_reference=row.public_id,
        )
        row.cleared_minor += amount
        asked.decided_by, asked.decided_at, asked.amount_minor = user, at, amount
        asked.save(update_fields=["decided_by", "decided_at", "amount_minor"])
        transitions.advance(
            row,
            to=State.WRITTEN_OFF,
            at=at,
            actor=actor,
            reason=asked.reason,
            changed=("cleared_minor", "ledger_transaction"),
            data={"amount_minor": amount, "currency": row.currency},
        )
    return row


def _lock(public_id: str, actor: Actor) -> Instalment:
    if not actor.sees_everything:
        raise Forbidden("Only the operator gives a debt up")
    rows = Instalment.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows.select_related("tenant", "lease"), public_id, "No such instalment")


def _record(event: str, row: Instalment, actor: Actor, at: datetime, reason: str) -> None:
    journal.record(
        event=event,
        object_id=row.public_id,
        actor=actor,
        at=at,
        reason=reason[:200],
        provider_id=row.provider_id,
        tenant_id=row.tenant_id,
        data={"amount_minor": row.open_minor, "currency": row.currency},
    )
