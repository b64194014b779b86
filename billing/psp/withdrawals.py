"""Money that leaves our Stripe balance for our own bank account, automatically or asked for."""

from __future__ import annotations

from datetime import datetime

from billing import chart, gateway
from billing.gateway import currencies, shapes
from billing.ledger import Kind
from billing.models import BankWithdrawal, PspRequest
from billing.psp import booking, requests
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.models import Organisation

State = BankWithdrawal.State


def ask(
    *, operator: Organisation, amount_minor: int, currency: str, at: datetime, actor: Actor
) -> PspRequest:
    """Stripe is asked to pay out to our bank. What it makes of it is followed as any payout.

    Not idempotent. Raises GatewayOff, AmountRefused, UnknownCurrency.
    """
    gateway.require_on()
    amount = currencies.payout(amount_minor, currency)
    subject = identifiers.new("wdr")
    journal.record(
        event="bankwithdrawal.asked",
        object_id=subject,
        actor=actor,
        at=at,
        data={"amount_minor": amount_minor, "currency": currency},
    )
    return requests.plan(
        operation="payout.create",
        subject=subject,
        organisation=operator,
        parameters={"amount": amount, "currency": currency.lower()},
        at=at,
    )


def follow(seen: shapes.Payout, at: datetime) -> bool:
    """Stripe → in transit when it is made, in transit → bank when it has arrived, and back.

    Locks the withdrawal. False while Stripe has no line for it.
    """
    if seen.line is None:
        return False
    row = _row(seen, at)
    line, currency = seen.line, seen.currency
    transit, bank = chart.transit(currency), chart.bank(currency)
    booking.post(
        Kind.STRIPE_PAID_OUT,
        f"stripe:{seen.id}:created",
        booking.entries(line, account=transit, currency=currency, debit_minor=-line.amount_minor),
        line=line,
        at=at,
    )
    arrived = f"stripe:{seen.id}:paid"
    if seen.status == "paid":
        rows = [(bank, -line.amount_minor), (transit, line.amount_minor)]
        booking.post(Kind.STRIPE_PAID_OUT, arrived, rows, line=line, at=at)
    if seen.failure_line is not None:
        booking.post(
            Kind.STRIPE_PAID_OUT,
            f"stripe:{seen.id}:failed",
            booking.entries(
                seen.failure_line,
                account=bank if booking.is_booked(arrived) else transit,
                currency=currency,
                debit_minor=-seen.failure_line.amount_minor,
            ),
            line=seen.failure_line,
            at=at,
        )
    row.arrival_at, row.failure_reason = seen.arrival_at, seen.failure_reason
    to = _state(seen)
    if to != row.state and row.LIFECYCLE.allows(row.state, to):
        transitions.advance(
            row, to=to, at=at, actor=booking.ACTOR, changed=("arrival_at", "failure_reason")
        )
    else:
        row.save(update_fields=["arrival_at", "failure_reason"])
    return True


def is_behind(seen: shapes.Payout) -> bool:
    row = BankWithdrawal.objects.filter(payout_id=seen.id).first()
    return row is None or row.LIFECYCLE.allows(row.state, _state(seen))


def _state(seen: shapes.Payout) -> str:
    if seen.failure_line is not None:
        return State.FAILED
    return State.PAID if seen.status == "paid" else State.PENDING


def _row(seen: shapes.Payout, at: datetime) -> BankWithdrawal:
    BankWithdrawal.objects.bulk_create(
        [
            BankWithdrawal(
                payout_id=seen.id,
                amount_minor=seen.amount_minor,
                currency=seen.currency,
                is_automatic=seen.is_automatic,
                arrival_at=seen.arrival_at,
                created_at=at,
            )
        ],
        ignore_conflicts=True,
    )
    rows = BankWithdrawal.objects.select_for_update(of=("self",), no_key=True)
    return rows.get(payout_id=seen.id)
