"""Transfers: a payout's way to a provider's Stripe balance, and back.

The one who pays pulls: what a transfer came to stands in its row, and whoever made the payout
looks there and books it. Only what is taken back is booked here, when it arrives.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing import chart, gateway, ledger
from billing.gateway import currencies, shapes
from billing.ledger import Kind
from billing.models import PayoutAccount, PspRequest, Transfer, TransferReversal
from billing.psp import booking, requests
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Organisation

State = Transfer.State
Back = TransferReversal.State


class NoPayoutAccount(DomainError):
    """The provider has no account that Stripe can pay."""

    code = "no_payout_account"
    title = "The provider cannot be paid over Stripe yet"
    status = 409


class MoreThanTransferred(DomainError):
    """All reversals of a transfer together stay within it."""

    code = "more_than_transferred"
    title = "More than is left of this transfer"
    status = 409


def plan(
    *,
    payout_id: str,
    provider: Organisation,
    amount_minor: int,
    currency: str,
    at: datetime,
) -> Transfer:
    """A transfer of available balance is asked for. Idempotent by payout.

    No `source_transaction`: what tenants paid in is pooled. The caller has put the money aside.
    Raises GatewayOff, NoPayoutAccount, AmountRefused.
    """
    gateway.require_on()
    known = Transfer.objects.filter(payout_id=payout_id).first()
    if known is not None:
        return known
    amount = currencies.movement(amount_minor, currency)
    account = PayoutAccount.objects.filter(
        provider=provider, state=PayoutAccount.State.ENABLED
    ).first()
    if account is None:
        raise NoPayoutAccount()
    with transaction.atomic():
        row = Transfer.objects.create(
            provider=provider,
            account=account,
            payout_id=payout_id,
            amount_minor=amount_minor,
            currency=currency,
            created_at=at,
        )
        requests.plan(
            operation="transfer.create",
            subject=row.public_id,
            organisation=provider,
            parameters={
                "amount": amount,
                "currency": currency.lower(),
                "destination": account.account_id,
                "transfer_group": payout_id,
                "description": f"Cardhour {payout_id}",
            },
            at=at,
        )
    return row


def refused(request: PspRequest, at: datetime) -> None:
    row = _lock(request.subject)
    if row.state == State.PLANNED:
        row.failure_reason = request.error_code
        transitions.advance(
            row,
            to=State.FAILED,
            at=at,
            actor=booking.ACTOR,
            reason=request.error_code,
            changed=("failure_reason",),
        )


def follow(seen: shapes.Transfer, at: datetime) -> bool:
    """The transfer is known to be there. False: not ours. Locks the transfer."""
    rows = Transfer.objects.select_for_update(of=("self",), no_key=True)
    row = rows.filter(transfer_id=seen.id).first() or rows.filter(payout_id=seen.group).first()
    if row is None or row.transfer_id not in (None, seen.id):
        return False
    if seen.metadata.get("subject") != row.public_id:
        return False  # another transfer of the same group, made by hand
    row.transfer_id = seen.id
    if row.state == State.PLANNED:
        transitions.advance(
            row, to=State.SENT, at=at, actor=booking.ACTOR, changed=("transfer_id",)
        )
    return True


def is_behind(seen: shapes.Transfer) -> bool:
    row = Transfer.objects.filter(payout_id=seen.group).first() if seen.group else None
    return row is not None and (
        row.state == State.PLANNED or row.reversed_minor < seen.reversed_minor
    )


def reverse(
    *, transfer_public_id: str, amount_minor: int, reason: str, at: datetime, actor: Actor
) -> TransferReversal:
    """Part of a transfer is asked back. Locks the transfer.

    Not idempotent. Raises GatewayOff, MoreThanTransferred, AmountRefused, Invalid, NotFound.
    """
    gateway.require_on()
    if not reason.strip():
        raise Invalid("Say why the transfer is reversed")
    with transaction.atomic():
        row = _lock(transfer_public_id)
        if row.state != State.SENT:
            raise MoreThanTransferred(left_minor=0)
        amount = currencies.movement(amount_minor, row.currency)
        planned = sum(one.amount_minor for one in row.reversals.filter(state=Back.PLANNED))
        left = row.amount_minor - row.reversed_minor - planned
        if amount_minor > left:
            raise MoreThanTransferred(left_minor=left)
        back = TransferReversal.objects.create(
            provider=row.provider,
            transfer=row,
            amount_minor=amount_minor,
            reason=reason[:500],
            asked_by=actor.label,
            created_at=at,
        )
        requests.plan(
            operation="transfer.reverse",
            subject=back.public_id,
            organisation=row.provider,
            parameters={"target": row.transfer_id, "amount": amount},
            at=at,
        )
        journal.record(
            event="transferreversal.asked",
            object_id=back.public_id,
            actor=actor,
            at=at,
            to_state=Back.PLANNED,
            provider_id=row.provider_id,
            reason=reason,
            data={"amount_minor": amount_minor, "currency": row.currency},
        )
    return back


def reversal_refused(request: PspRequest, at: datetime) -> None:
    back = _lock_back(request.subject)
    if back.state == Back.PLANNED:
        back.failure_reason = request.error_code
        transitions.advance(
            back,
            to=Back.FAILED,
            at=at,
            actor=booking.ACTOR,
            reason=request.error_code,
            changed=("failure_reason",),
        )


def follow_reversal(seen: shapes.Reversal, at: datetime) -> bool:
    """What came back is in our Stripe balance: first it pays what the provider owes, the rest
    waits for its next payout. False: not ours. Locks the transfer, then balances.
    """
    subject = str(seen.metadata.get("subject", ""))
    if not subject.startswith("trv_"):
        return False
    known = TransferReversal.objects.filter(public_id=subject).first()
    if known is None or seen.line is None:
        return False
    row = _lock(known.transfer.public_id)
    back = _lock_back(subject)
    if back.state != Back.PLANNED or row.transfer_id != seen.transfer_id:
        return back.reversal_id == seen.id
    provider, currency = row.provider, row.currency
    owed, settling = (
        chart.provider_receivable(provider, currency),
        chart.provider_settling(provider, currency),
    )
    cleared = min(back.amount_minor, max(0, ledger.lock([owed, settling])[owed]))
    booking.post(
        Kind.TRANSFER_REVERSED,
        f"stripe:{seen.id}:reversed",
        [
            *booking.entries(
                seen.line, account=settling, currency=currency, debit_minor=-back.amount_minor
            ),
            *([(settling, cleared), (owed, -cleared)] if cleared else []),
        ],
        line=seen.line,
        at=at,
    )
    back.reversal_id = seen.id
    row.reversed_minor += back.amount_minor
    row.save(update_fields=["reversed_minor"])
    transitions.advance(
        back, to=Back.SUCCEEDED, at=at, actor=booking.ACTOR, changed=("reversal_id",)
    )
    return True


def _lock(public_id: str) -> Transfer:
    rows = Transfer.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows.select_related("provider"), public_id, "No such transfer")


def _lock_back(public_id: str) -> TransferReversal:
    rows = TransferReversal.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows, public_id)
