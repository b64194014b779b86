"""Payouts that a rail sends by itself: each step written down before it is taken.

The row says what may have happened, the rail says what did. A payout is `sending` from before
the first call on; whoever finds it so asks the rail by its key, and sends it again under the
same key only where the rail never took it. So a worker that dies anywhere loses and doubles
nothing.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from billing import payouts, rails
from billing.models import Payout
from billing.rails import Order, Outcome, RailBusy, RailRefused, Status
from inventory import actors, transitions
from inventory.errors import DomainError

logger = logging.getLogger(__name__)
ACTOR = actors.system("payouts")
State = Payout.State

# For so long the row is one worker's; it is longer than a rail may block.
CLAIM = timedelta(seconds=90)
POLL = timedelta(minutes=2)
SLOWEST_POLL = timedelta(hours=6)
# How long a sweep may stand still, and no returned payout be missed.
RETURNS_REACH = timedelta(days=60)


def step_due(*, at: datetime, limit: int) -> int:
    """Takes the next step of every payout that is due for one; how many were taken.

    The rail is asked outside of transactions. Safe to run twice and beside itself: a row is
    claimed by its next instant, and the rail knows each order by its key.
    """
    stepped = 0
    for public_id in _due(at, limit):
        if not _claim(public_id, at):
            continue
        try:
            _step(public_id, at)
        except DomainError as error:
            logger.warning("payout %s does not move: %s", public_id, error)
        stepped += 1
    return stepped


def return_due(*, at: datetime) -> int:
    """Payouts that had left, and whose whole money their rail has back, are returned; how many.

    One transaction each. The rail is not called. Idempotent.
    """
    returned = 0
    for method in rails.methods():
        came_back = dict(rails.of(method).returned(since=at - RETURNS_REACH))
        rows = Payout.objects.filter(method=method, state=State.PAID, public_id__in=list(came_back))
        for row in rows.order_by("pk"):
            try:
                apply(row=row, outcome=came_back[row.public_id], at=at)
            except DomainError as error:
                logger.warning("payout %s does not come back: %s", row.public_id, error)
            else:
                returned += 1
    return returned


def order_of(row: Payout) -> Order:
    """The same in every attempt."""
    return Order(
        key=row.public_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
        payee_name=row.payee_name,
        destination=row.payee_account,
        purpose=f"Settlement {row.public_id}",
    )


def _due(at: datetime, limit: int) -> list[str]:
    rows = Payout.objects.filter(
        state__in=[State.APPROVED, State.SENDING, State.SENT],
        method__in=rails.methods(),
        next_step_at__lte=at,
    )
    return [row.public_id for row in rows.order_by("next_step_at", "pk")[:limit]]


def _claim(public_id: str, at: datetime) -> bool:
    """The row is written down as perhaps sent, and is this worker's for a while."""
    with transaction.atomic():
        row = payouts.lock(public_id)
        if row.next_step_at is None or row.next_step_at > at:
            return False
        row.next_step_at = at + CLAIM
        row.attempt_count += 1
        if row.state == State.APPROVED:
            transitions.advance(
                row,
                to=State.SENDING,
                at=at,
                actor=ACTOR,
                changed=("next_step_at", "attempt_count"),
            )
        elif row.state in (State.SENDING, State.SENT):
            row.save(update_fields=["next_step_at", "attempt_count"])
        else:
            return False
    return True


def _step(public_id: str, at: datetime) -> None:
    row = Payout.objects.get(public_id=public_id)
    rail = rails.of(row.method)
    try:
        outcome = rail.look_up(row.public_id)
        if outcome.status == Status.UNKNOWN and row.state == State.SENDING:
            outcome = rail.send(order_of(row))
    except RailRefused as error:
        outcome = Outcome(Status.FAILED, reason=error.code)
    except RailBusy as error:
        _again(row, str(error), at)
        return
    apply(row=row, outcome=outcome, at=at)


def apply(*, row: Payout, outcome: Outcome, at: datetime) -> None:
    """What the rail said is booked; also for a rail that speaks first (a webhook).

    Idempotent. Raises as `payouts.mark_paid`, `mark_failed` and `mark_returned`.
    """
    match outcome.status:
        case Status.PAID:
            payouts.mark_paid(
                payout_public_id=row.public_id, reference=outcome.reference, at=at, actor=ACTOR
            )
        case Status.FAILED:
            payouts.mark_failed(
                payout_public_id=row.public_id,
                reason=outcome.reason or "refused",
                at=at,
                actor=ACTOR,
            )
        case Status.RETURNED:
            payouts.mark_returned(
                payout_public_id=row.public_id,
                reason=outcome.reason or "taken back",
                reference=outcome.reference,
                at=at,
                actor=ACTOR,
            )
        case Status.PENDING:
            _sent(row.public_id, outcome, at)
        case Status.UNKNOWN:
            # The rail had it and knows it no more: nothing is sent anew, a person looks.
            _again(row, "unknown to the rail", at)


def _sent(public_id: str, outcome: Outcome, at: datetime) -> None:
    with transaction.atomic():
        row = payouts.lock(public_id)
        if row.state not in (State.SENDING, State.SENT):
            return
        row.rail_reference = row.rail_reference or outcome.reference[:120]
        row.next_step_at, row.last_error = at + _pause(row), ""
        changed = ("rail_reference", "next_step_at", "last_error")
        if row.state == State.SENDING:
            transitions.advance(row, to=State.SENT, at=at, actor=ACTOR, changed=changed)
        else:
            row.save(update_fields=changed)


def _again(row: Payout, error: str, at: datetime) -> None:
    with transaction.atomic():
        locked = payouts.lock(row.public_id)
        if locked.state not in (State.SENDING, State.SENT):
            return
        locked.next_step_at, locked.last_error = at + _pause(locked), error[:300]
        locked.save(update_fields=["next_step_at", "last_error"])


def _pause(row: Payout) -> timedelta:
    """Longer and longer between questions."""
    doublings = min(max(row.attempt_count - 1, 0), 8)
    return min(POLL * (1 << doublings), SLOWEST_POLL)
