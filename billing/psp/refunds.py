"""Refunds: unused wallet money goes back to what it was paid with."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Sum

from billing import chart, gateway, ledger
from billing.gateway import currencies, shapes
from billing.ledger import Kind
from billing.models import Dispute, PspRequest, TopUp, WalletRefund
from billing.psp import booking, requests
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError

State = WalletRefund.State
REFUNDABLE_FOR = timedelta(days=90)  # Alipay's limit (docs.stripe.com/payments/alipay)
SHORT_LIVED = {"alipay"}


class NotRefundable(DomainError):
    """The payment was not made, is too old, or is disputed."""

    code = "not_refundable"
    title = "This payment cannot be refunded"
    status = 409


class MoreThanPaid(DomainError):
    """All refunds of a payment together stay within it."""

    code = "more_than_paid"
    title = "More than is left of this payment"
    status = 409


def ask(*, top_up_public_id: str, amount_minor: int, at: datetime, actor: Actor) -> WalletRefund:
    """The amount is kept aside in the wallet, and Stripe is asked to give it back.

    Locks the top-up, then the wallet. Not idempotent. Raises GatewayOff, AmountRefused,
    NotRefundable, MoreThanPaid, InsufficientFunds, NotFound.
    """
    gateway.require_on()
    with transaction.atomic():
        top_up = identifiers.find(
            TopUp.objects.select_for_update(of=("self",), no_key=True).select_related("tenant"),
            top_up_public_id,
            "No such top-up",
        )
        amount = currencies.movement(amount_minor, top_up.currency)
        _refuse(top_up, amount_minor, at)
        row = WalletRefund.objects.create(
            tenant=top_up.tenant,
            top_up=top_up,
            amount_minor=amount_minor,
            currency=top_up.currency,
            asked_by=actor.label,
            created_at=at,
        )
        ledger.place_hold(
            key=_hold(row),
            account=chart.wallet(row.tenant, row.currency),
            amount_minor=amount_minor,
            expires_at=None,
            at=at,
        )
        requests.plan(
            operation="refund.create",
            subject=row.public_id,
            organisation=row.tenant,
            parameters={
                "payment_intent": top_up.intent_id,
                "amount": amount,
                "reason": "requested_by_customer",
            },
            at=at,
        )
        journal.record(
            event="walletrefund.asked",
            object_id=row.public_id,
            actor=actor,
            at=at,
            to_state=State.HELD,
            tenant_id=row.tenant_id,
            data={"amount_minor": amount_minor, "currency": row.currency},
        )
    return row


def _refuse(top_up: TopUp, amount_minor: int, at: datetime) -> None:
    is_late = (
        top_up.method in SHORT_LIVED
        and top_up.succeeded_at is not None
        and at - top_up.succeeded_at > REFUNDABLE_FOR
    )
    disputed = top_up.disputes.exclude(state__in=[Dispute.State.WON, Dispute.State.CLOSED])
    if top_up.state != TopUp.State.SUCCEEDED or is_late or disputed.exists():
        raise NotRefundable()
    left = refundable(top_up)
    if amount_minor > left:
        raise MoreThanPaid(left_minor=left)


def refundable(top_up: TopUp) -> int:
    """What of a payment has not been given back, and is not about to be."""
    rows = top_up.refunds.exclude(state=State.FAILED)
    return top_up.amount_minor - (rows.aggregate(sum=Sum("amount_minor"))["sum"] or 0)


def refused(request: PspRequest, at: datetime) -> None:
    """Stripe did not take it: the money is free again."""
    row = _lock(request.subject)
    if row.state == State.HELD:
        row.failure_reason = request.error_code
        _fail(row, at)


def follow(seen: shapes.Refund, at: datetime) -> bool:
    """Our row is as far as Stripe's. What left its balance has left the wallet; what came back
    to it is in the wallet again, and goes out by bank. False: not ours.

    Stripe takes the money when it makes the refund, also one that is pending for days; so the
    books follow its balance transactions and the row its status. Locks the refund, then balances.
    """
    row = _find(seen)
    if row is None:
        return False
    row.refund_id = seen.id
    if seen.line is not None and not booking.is_booked(f"stripe:{seen.id}:refunded"):
        rows = booking.entries(
            seen.line,
            account=chart.wallet(row.tenant, row.currency),
            currency=row.currency,
            debit_minor=row.amount_minor,
        )
        ledger.capture_hold(
            hold_key=_hold(row),
            kind=Kind.WALLET_REFUNDED,
            key=f"stripe:{seen.id}:refunded",
            entries=rows,
            at=at,
            actor=booking.ACTOR,
            external_reference=seen.line.source,
        )
    to = _state(seen)
    if to == State.FAILED and row.state != State.FAILED:
        row.failure_reason = seen.failure_reason
        if seen.failure_line is not None:
            _take_back(row, seen, seen.failure_line, at)
        elif seen.line is not None:
            return True  # its money has not come back yet
        _fail(row, at, "refund_id")
        return True
    if row.state == to or not row.LIFECYCLE.allows(row.state, to):
        row.save(update_fields=["refund_id"])
        return True
    transitions.advance(row, to=to, at=at, actor=booking.ACTOR, changed=("refund_id",))
    return True


def is_behind(seen: shapes.Refund) -> bool:
    row = WalletRefund.objects.filter(refund_id=seen.id).first()
    if row is None:
        return str(seen.metadata.get("subject", "")).startswith("tur_")
    return row.state != _state(seen) and row.LIFECYCLE.allows(row.state, _state(seen))


def _state(seen: shapes.Refund) -> str:
    match seen.status:
        case "succeeded":
            return State.SUCCEEDED
        case "failed" | "canceled":
            return State.FAILED
    return State.PENDING


def _take_back(row: WalletRefund, seen: shapes.Refund, line: shapes.Line, at: datetime) -> None:
    booking.post(
        Kind.REFUND_FAILED,
        f"stripe:{seen.id}:failed",
        booking.entries(
            line,
            account=chart.wallet(row.tenant, row.currency),
            currency=row.currency,
            debit_minor=-row.amount_minor,
        ),
        line=line,
        at=at,
    )


def _fail(row: WalletRefund, at: datetime, *changed: str) -> None:
    if not booking.is_booked(f"stripe:{row.refund_id}:refunded"):
        ledger.release_hold(key=_hold(row), at=at)
    transitions.advance(
        row,
        to=State.FAILED,
        at=at,
        actor=booking.ACTOR,
        reason=row.failure_reason,
        changed=("failure_reason", *changed),
    )


def _hold(row: WalletRefund) -> str:
    return f"refund:{row.public_id}"


def _find(seen: shapes.Refund) -> WalletRefund | None:
    rows = WalletRefund.objects.select_for_update(of=("self",), no_key=True)
    rows = rows.select_related("tenant")
    row = rows.filter(refund_id=seen.id).first()
    if row is None:
        subject = str(seen.metadata.get("subject", ""))
        row = rows.filter(public_id=subject).first() if subject.startswith("tur_") else None
    return row if row is not None and row.refund_id in (None, seen.id) else None


def _lock(public_id: str) -> WalletRefund:
    rows = WalletRefund.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows.select_related("tenant"), public_id)
