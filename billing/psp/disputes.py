"""Disputes: Stripe takes a payment back at once; who bears it is decided later."""

from __future__ import annotations

from datetime import datetime

from billing import chart, ledger, payments
from billing.gateway import shapes
from billing.ledger import Kind
from billing.models import Dispute, TopUp
from billing.psp import booking
from inventory import journal, transitions

State = Dispute.State


def follow(seen: shapes.Dispute, at: datetime) -> bool:
    """Our row is as far as Stripe's: what was taken is a receivable, what came back clears it,
    what is lost is the tenant's. False: of no payment of ours.

    While it is open the wallet's money is kept aside up to the amount, and the tenant pays by
    bank only. Locks the top-up, the dispute, then balances.
    """
    tops = TopUp.objects.select_for_update(of=("self",), no_key=True).select_related("tenant")
    top_up = tops.filter(charge_id=seen.charge_id).first()
    if top_up is None:
        top_up = tops.filter(intent_id=seen.intent_id).first() if seen.intent_id else None
        if top_up is None:
            return False
        if top_up.charge_id is None:
            raise booking.LineDiffers(f"{seen.id} is of a payment that is not booked yet")
    row = _row(seen, top_up, at)
    for line in seen.lines:
        _book(row, line, at)
    to = _state(seen)
    if row.state != to and row.LIFECYCLE.allows(row.state, to):
        transitions.advance(
            row, to=to, at=at, actor=booking.ACTOR, changed=("withdrawn_at", "reinstated_at")
        )
    else:
        row.save(update_fields=["withdrawn_at", "reinstated_at"])
    if row.state == State.LOST and row.withdrawn_at and not row.borne_at:
        _bear(row, seen, at)
    elif row.state in (State.WON, State.CLOSED):
        _free(row, at)
        if row.borne_at and row.reinstated_at:
            _undo_bearing(row, seen, at)
    return True


def is_behind(seen: shapes.Dispute) -> bool:
    row = Dispute.objects.filter(dispute_id=seen.id).first()
    if row is None:
        return TopUp.objects.filter(charge_id=seen.charge_id).exists()
    taken = any(line.amount_minor < 0 for line in seen.lines)
    back = any(line.amount_minor > 0 for line in seen.lines)
    return (
        row.LIFECYCLE.allows(row.state, _state(seen))
        or (taken and row.withdrawn_at is None)
        or (back and row.reinstated_at is None)
    )


def _state(seen: shapes.Dispute) -> str:
    match seen.status:
        case "won":
            return State.WON
        case "lost":
            return State.LOST
        case "warning_closed" | "prevented":
            return State.CLOSED
    return State.INQUIRY if seen.status.startswith("warning") else State.OPEN


def _row(seen: shapes.Dispute, top_up: TopUp, at: datetime) -> Dispute:
    rows = Dispute.objects.select_for_update(of=("self",), no_key=True).select_related("tenant")
    row = rows.filter(dispute_id=seen.id).first()
    if row is not None:
        return row
    start = State.INQUIRY if _state(seen) in (State.INQUIRY, State.CLOSED) else State.OPEN
    row = Dispute.objects.create(
        tenant=top_up.tenant,
        top_up=top_up,
        dispute_id=seen.id,
        amount_minor=seen.amount_minor,
        currency=seen.currency,
        reason=seen.reason,
        answer_by=seen.answer_by,
        state=start,
        created_at=at,
    )
    journal.record(
        event="dispute.opened",
        object_id=row.public_id,
        actor=booking.ACTOR,
        at=at,
        to_state=start,
        tenant_id=row.tenant_id,
        data={"amount_minor": row.amount_minor, "currency": row.currency, "reason": row.reason},
    )
    return row


def _book(row: Dispute, line: shapes.Line, at: datetime) -> None:
    """One movement of Stripe's for this dispute, in the currency it keeps for us."""
    is_taken = line.amount_minor < 0
    fact = "withdrawn" if is_taken else "reinstated"
    posted = booking.post(
        Kind.DISPUTE_WITHDRAWN if is_taken else Kind.DISPUTE_REINSTATED,
        f"stripe:{row.dispute_id}:{fact}",
        booking.entries(
            line,
            account=chart.dispute_receivable(line.currency),
            currency=line.currency,
            debit_minor=-line.amount_minor,
        ),
        line=line,
        at=at,
    )
    if not posted:
        return
    if is_taken:
        row.withdrawn_at = at
        _keep_aside(row, at)
    else:
        row.reinstated_at = at


def _keep_aside(row: Dispute, at: datetime) -> None:
    """As much of the wallet as there is, without its credit."""
    wallet = chart.wallet(row.tenant, row.currency)
    ledger.lock([wallet])
    found = ledger.balance(row.tenant, currency=row.currency)
    row.held_minor = max(0, min(row.amount_minor, found.posted_minor - found.held_minor))
    if row.held_minor:
        ledger.place_hold(
            key=_hold(row), account=wallet, amount_minor=row.held_minor, expires_at=None, at=at
        )
        row.save(update_fields=["held_minor"])


def _free(row: Dispute, at: datetime) -> None:
    if row.held_minor:
        ledger.release_hold(key=_hold(row), at=at)
        row.held_minor = 0
        row.save(update_fields=["held_minor"])


def _bear(row: Dispute, seen: shapes.Dispute, at: datetime) -> None:
    """The tenant pays what was taken: from its wallet, the rest it owes."""
    wallet, owed = (
        chart.wallet(row.tenant, row.currency),
        chart.receivable(row.tenant, row.currency),
    )
    ledger.lock([wallet, owed])
    _free(row, at)
    found = ledger.balance(row.tenant, currency=row.currency)
    paid = max(0, min(row.amount_minor, found.posted_minor - found.held_minor))
    taken = next(line for line in seen.lines if line.amount_minor < 0)
    receivable = chart.dispute_receivable(taken.currency)
    rows = [(wallet, paid), (owed, row.amount_minor - paid), (receivable, taken.amount_minor)]
    if row.currency != taken.currency:
        rows += [(chart.fx(row.currency), -row.amount_minor)]
        rows += [(chart.fx(taken.currency), -taken.amount_minor)]
    if not booking.is_booked(_lost(row)):
        ledger.post(
            kind=Kind.DISPUTE_LOST,
            key=_lost(row),
            entries=[(code, amount) for code, amount in rows if amount],
            at=at,
            actor=booking.ACTOR,
            external_reference=row.dispute_id,
        )
    row.borne_at = at
    row.save(update_fields=["borne_at"])


def _undo_bearing(row: Dispute, seen: shapes.Dispute, at: datetime) -> None:
    """An appeal was won after all: what the tenant had borne is in its wallet again."""
    taken = next(line for line in seen.lines if line.amount_minor < 0)
    rows = [
        (chart.dispute_receivable(taken.currency), -taken.amount_minor),
        (chart.wallet(row.tenant, row.currency), -row.amount_minor),
    ]
    if row.currency != taken.currency:
        rows += [(chart.fx(row.currency), row.amount_minor)]
        rows += [(chart.fx(taken.currency), taken.amount_minor)]
    if not booking.post(Kind.DISPUTE_LOST, f"{_lost(row)}:returned", rows, line=taken, at=at):
        return
    payments.clear_receivable(
        row.tenant,
        currency=row.currency,
        up_to_minor=row.amount_minor,
        cause=f"dispute:{row.public_id}",
        at=at,
        actor=booking.ACTOR,
    )


def _lost(row: Dispute) -> str:
    return f"stripe:{row.dispute_id}:lost"


def _hold(row: Dispute) -> str:
    return f"dispute:{row.public_id}"
