"""Transfers: a payout's way to a provider's Stripe balance, and back.

The one who pays pulls: what a transfer came to stands in its row, and whoever made the payout
looks there and books it; so too where all of it came back. Only a claw-back of what the provider
owes is booked here, when it arrives.
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


class MoreThanOwed(DomainError):
    """Part of a transfer is taken back for a debt only; else it would be nobody's."""

    code = "more_than_owed"
    title = "The provider owes less than that"
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
    """A transfer is asked back, whole or in part. Locks the transfer, then the balance.

    Whole, its payout is returned once it is here, and its settlements wait for another one. A
    part is a claw-back of what the provider owes, which is kept for it until Stripe has answered.

    Not idempotent. Raises GatewayOff, MoreThanTransferred, MoreThanOwed, AmountRefused, Invalid,
    NotFound.
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
        if amount_minor < row.amount_minor:
            _keep_debt(back, row, at)
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
        if back.is_claw_back:
            ledger.release_hold(key=back.hold_key, at=at)
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
    """What came back is in our Stripe balance. A part pays what the provider owes; the whole is
    booked with its payout, by whoever made that. False: not ours, and nothing is known of it.

    A part that somebody took back at Stripe by hand is nobody's here: it stays an exception of
    the reconciliation. Locks the transfer, then balances.
    """
    subject = str(seen.metadata.get("subject", ""))
    if seen.line is None:
        return False
    if not subject.startswith("trv_"):
        return _taken_by_hand(seen, at)
    known = TransferReversal.objects.filter(public_id=subject).first()
    if known is None:
        return False
    row = _lock(known.transfer.public_id)
    back = _lock_back(subject)
    if back.state != Back.PLANNED or row.transfer_id != seen.transfer_id:
        return back.reversal_id == seen.id
    if back.is_claw_back:
        owed = chart.provider_receivable(row.provider, row.currency)
        ledger.capture_hold(
            hold_key=back.hold_key,
            kind=Kind.TRANSFER_REVERSED,
            key=f"stripe:{seen.id}:reversed",
            entries=booking.entries(
                seen.line, account=owed, currency=row.currency, debit_minor=-back.amount_minor
            ),
            at=at,
            actor=booking.ACTOR,
            effective_at=min(seen.line.created_at, at),
            external_reference=seen.line.source,
        )
    return _arrived(back, row, seen, at)


def _taken_by_hand(seen: shapes.Reversal, at: datetime) -> bool:
    """A whole transfer that was reversed in Stripe's own pages."""
    found = Transfer.objects.filter(transfer_id=seen.transfer_id, state=State.SENT).first()
    if found is None:
        return False
    row = _lock(found.public_id)
    known = row.reversals.filter(reversal_id=seen.id).exists()
    if known or seen.amount_minor != row.amount_minor or row.reversed_minor:
        return known
    back = TransferReversal.objects.create(
        provider=row.provider,
        transfer=row,
        amount_minor=seen.amount_minor,
        reason="taken back at Stripe",
        asked_by=booking.ACTOR.label,
        created_at=at,
    )
    return _arrived(back, row, seen, at)


def _arrived(back: TransferReversal, row: Transfer, seen: shapes.Reversal, at: datetime) -> bool:
    back.reversal_id = seen.id
    row.reversed_minor += back.amount_minor
    row.save(update_fields=["reversed_minor"])
    transitions.advance(
        back, to=Back.SUCCEEDED, at=at, actor=booking.ACTOR, changed=("reversal_id",)
    )
    return True


def _keep_debt(back: TransferReversal, row: Transfer, at: datetime) -> None:
    """So much of what the provider owes waits for this reversal, and is paid by nothing else."""
    owed = chart.provider_receivable(row.provider, row.currency)
    owed_minor = ledger.lock([owed])[owed]
    if back.amount_minor > owed_minor:
        raise MoreThanOwed(owed_minor=owed_minor)
    ledger.place_hold(
        key=back.hold_key, account=owed, amount_minor=back.amount_minor, expires_at=None, at=at
    )


def _lock(public_id: str) -> Transfer:
    rows = Transfer.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows.select_related("provider"), public_id, "No such transfer")


def _lock_back(public_id: str) -> TransferReversal:
    rows = TransferReversal.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows, public_id)
