"""Changes of leases: who may ask for which, and the row that both sides sign."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from inventory import actors, capacity, identifiers, journal, transactions, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden, NotFound
from inventory.periods import Period, floor_hour
from marketplace import changes, lease_prices, money
from marketplace.changes import Change, Paid
from marketplace.models import Amendment, Lease, Reservation
from marketplace.money import Price

State = Amendment.State
Kind = Amendment.Kind
Side = Amendment.Side


class WrongSide(Forbidden):
    """The other side of the lease decides on this."""

    code = "wrong_side"
    title = "This is for the other side to do"


class NoticeTooShort(DomainError):
    """The terms let a provider withdraw only so long ahead, or not at all."""

    code = "notice_too_short"
    title = "The terms ask for longer notice"


class AmendmentOpen(DomainError):
    """One proposal at a time: answer it, or take it back."""

    code = "amendment_open"
    title = "Another change of this lease waits for an answer"


class AmendmentExpired(DomainError):
    """It was not answered in time."""

    code = "amendment_expired"
    title = "The proposal has expired"
    status = 410


class AmendmentStale(DomainError):
    """The lease, or what is left of its deposit, is no longer what was proposed upon."""

    code = "amendment_stale"
    title = "The lease has changed since this was proposed"


class TrialNotExtended(DomainError):
    """More time or units at a trial's price would be a lease below every floor: it is converted."""

    code = "trial_not_extended"
    title = "A trial is converted, not extended"


def side_of(lease: Lease, actor: Actor) -> Side:
    """Which side of the lease asks. Raises NotFound where neither does."""
    if actor.project_id is None or actor.project_id == lease.project_id:
        if actor.organisation_id == lease.tenant_id:
            return Side.TENANT
        if actor.organisation_id == lease.provider_id and actor.project_id is None:
            return Side.PROVIDER
    raise NotFound("No such lease")


def require_side(lease: Lease, actor: Actor, side: Side) -> None:
    """Raises WrongSide where the other side asks, NotFound where a stranger does."""
    if side_of(lease, actor) != side:
        raise WrongSide(side=side.value)


def require_running(lease: Lease) -> None:
    """Raises IllegalTransition where the lease is over or its end is ordered."""
    if not lease.is_running:
        raise transitions.IllegalTransition(f"{lease.public_id} is not running")


def require_growable(lease: Lease) -> None:
    """Raises TrialNotExtended: what a trial costs is for the trial alone."""
    if lease.kind == Reservation.Kind.TRIAL:
        raise TrialNotExtended


def longer(*, lease: Lease, end: datetime, at: datetime) -> Change:
    """What a later end comes to, at the lease's own price and schedule.

    Raises AmountTooLarge, TrialNotExtended.
    """
    require_growable(lease)
    period = Period.of(lease.period)
    return changes.longer(
        before=lease_prices.plan(lease=lease, period=period, at=at),
        after=lease_prices.plan(lease=lease, period=Period(period.start, end), at=at),
        due_minor=lease.due_minor,
    )


def shorter(
    *,
    lease: Lease,
    end: datetime,
    paid: Paid,
    refund_bps: int,
    at: datetime,
    compensation_bps: int = 0,
) -> Change:
    """What an earlier end comes to; an end at the start leaves nothing of the lease."""
    period = Period.of(lease.period)
    kept = Period(period.start, end) if end > period.start else None
    nothing = changes.NOTHING_LEFT
    return changes.shorter(
        price=Price.agreed(lease),
        before=lease_prices.plan(lease=lease, period=period, at=at),
        after=lease_prices.plan(lease=lease, period=kept, at=at) if kept else nothing,
        due_minor=lease.due_minor,
        paid=paid,
        refund_bps=refund_bps,
        compensation_bps=compensation_bps,
    )


def leaving_bps(*, lease: Lease, end: datetime, at: datetime) -> int:
    """The share of the rest that comes back, left at `end` with notice from `at` on."""
    return money.step(lease.terms.leaving, end - at) or 0


def withdrawal_bps(*, lease: Lease, end: datetime, at: datetime) -> int:
    """The compensation for a withdrawal with effect from `end`. Raises NoticeTooShort."""
    bps = money.step(lease.terms.withdrawal, end - at)
    if bps is None:
        steps = lease.terms.withdrawal
        raise NoticeTooShort(least_hours=steps[-1][0] if steps else None)
    return bps


def check_earlier_end(*, lease: Lease, end: datetime, at: datetime, whole: bool = False) -> None:
    """Raises InvalidEnd unless `end` is a UTC hour to come, after the start and before the end.

    `whole` allows the start itself: then nothing of the lease remains.
    """
    period = Period.of(lease.period)
    starts_late = end > period.start or (whole and end == period.start)
    if not starts_late or end <= at or end >= period.end:
        raise capacity.InvalidEnd("The new end lies ahead, within the lease")
    if end != period.start and end != floor_hour(end):
        raise capacity.InvalidEnd("A lease is cut short at a full hour (UTC)")


def lock(public_id: str) -> Amendment:
    """The amendment by its public id, locked. Raises NotFound."""
    rows = Amendment.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows, public_id, "No such amendment")


def find(public_id: str, actor: Actor) -> Amendment:
    """The amendment as its sides see it, unlocked. Raises NotFound."""
    rows = Amendment.objects.visible_to(actor)
    return identifiers.find(rows, public_id, "No such amendment")


def by_terms(
    *,
    lease: Lease,
    kind: Kind,
    end: datetime,
    change: Change,
    at: datetime,
    actor: Actor,
    reason: str,
) -> Amendment:
    """The use of a frozen schedule, written as an amendment that both have signed already.

    The side that asks signs now; the other did when it agreed to the terms. The lease follows
    by `leases.amend`. The caller has locked the lease.
    """
    side = side_of(lease, actor)
    other = Side.PROVIDER if side == Side.TENANT else Side.TENANT
    row = _row(lease, kind, side, end, change, at, reason=reason, expires_at=at)
    _sign(row, side, actor.label, at)
    _sign(row, other, lease.terms.public_id, lease.created_at)
    row.state, row.signed_at = State.SIGNED, at
    row.save(force_insert=True)
    _record("amendment.signed", row, actor, at, to_state=State.SIGNED)
    return row


def propose(
    *,
    lease: Lease,
    kind: Kind,
    end: datetime,
    change: Change,
    at: datetime,
    expires_at: datetime,
    actor: Actor,
    reason: str,
    **added: Any,
) -> Amendment:
    """The side that asks has signed; nothing of the lease changes until the other does.

    A proposal that lapsed, swept or not, stands in nobody's way. The caller has locked the
    lease. Raises AmendmentOpen.
    """
    _expire(Amendment.objects.filter(lease=lease, state=State.PROPOSED, expires_at__lte=at), at)
    side = side_of(lease, actor)
    row = _row(lease, kind, side, end, change, at, reason=reason, expires_at=expires_at, **added)
    _sign(row, side, actor.label, at)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise AmendmentOpen from error
    _record("amendment.proposed", row, actor, at, to_state=State.PROPOSED)
    return row


def require_answerable(*, amendment: Amendment, lease: Lease, at: datetime) -> None:
    """Raises IllegalTransition, AmendmentExpired, AmendmentStale."""
    if amendment.state != State.PROPOSED:
        raise transitions.IllegalTransition(
            f"{amendment.public_id} is {amendment.state}",
            current=amendment.state,
            wanted=State.SIGNED.value,
        )
    if at >= amendment.expires_at:
        raise AmendmentExpired(expired_at=amendment.expires_at)
    if amendment.previous_id != lease.amendment_id:
        raise AmendmentStale


def sign(
    *, amendment: Amendment, at: datetime, actor: Actor, changed: tuple[str, ...] = ()
) -> Amendment:
    """The locked proposal bears the second signature, of the side that did not propose it."""
    side = Side.TENANT if amendment.proposed_by == Side.PROVIDER else Side.PROVIDER
    _sign(amendment, side, actor.label, at)
    transitions.advance(
        amendment,
        to=State.SIGNED,
        at=at,
        actor=actor,
        reason=amendment.reason,
        changed=(f"{side.value}_signed_by", f"{side.value}_signed_at", *changed),
        data=_facts(amendment),
    )
    return amendment


def decline(*, amendment_public_id: str, at: datetime, actor: Actor, reason: str) -> Amendment:
    """The other side says no. Locks it. Raises NotFound, WrongSide, IllegalTransition."""
    return _close(amendment_public_id, State.DECLINED, at=at, actor=actor, reason=reason)


def withdraw(*, amendment_public_id: str, at: datetime, actor: Actor, reason: str) -> Amendment:
    """The side that proposed takes it back. Locks and raises as `decline`."""
    return _close(amendment_public_id, State.WITHDRAWN, at=at, actor=actor, reason=reason)


def expire_due(*, at: datetime, limit: int) -> int:
    """Proposals that nobody answered in time are closed; returns how many. Idempotent."""
    rows = Amendment.objects.filter(state=State.PROPOSED, expires_at__lte=at)
    return _expire(rows.order_by("expires_at")[:limit], at)


def _expire(lapsed: QuerySet[Amendment], at: datetime) -> int:
    expired = 0
    for pk in list(lapsed.values_list("pk", flat=True)):
        with transaction.atomic():
            locked = Amendment.objects.select_for_update(of=("self",), no_key=True)
            row = locked.filter(pk=pk, state=State.PROPOSED).first()
            if row is not None:
                transitions.advance(row, to=State.EXPIRED, at=at, actor=actors.system("leases"))
                expired += 1
    return expired


def _close(public_id: str, to: State, *, at: datetime, actor: Actor, reason: str) -> Amendment:
    with transactions.whole():
        find(public_id, actor)
        row = lock(public_id)
        proposed_it = side_of(row.lease, actor) == row.proposed_by
        if proposed_it != (to == State.WITHDRAWN):
            raise WrongSide(side=row.proposed_by)
        transitions.advance(row, to=to, at=at, actor=actor, reason=reason)
    return row


def _row(
    lease: Lease,
    kind: Kind,
    side: Side,
    end: datetime,
    change: Change,
    at: datetime,
    *,
    reason: str,
    expires_at: datetime,
    **added: Any,
) -> Amendment:
    period = Period.of(lease.period)
    return Amendment(
        lease=lease,
        previous_id=lease.amendment_id,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        kind=kind,
        proposed_by=side,
        reason=reason,
        before_period=period.range,
        before_gross_minor=lease.gross_minor,
        before_due_minor=lease.due_minor,
        # Where nothing of the lease remains, its period says what it would have been.
        period=Period(period.start, end).range if end > period.start else period.range,
        **figures(change),
        created_at=at,
        expires_at=expires_at,
        **added,
    )


def figures(change: Change) -> dict[str, int]:
    """As the columns of `ChangeFigures`."""
    return {
        "gross_minor": change.gross_minor,
        "due_minor": change.due_minor,
        "pay_minor": change.pay_minor,
        "refund_minor": change.refund_minor,
        "share_bps": change.share_bps,
        "kept_gross_minor": change.kept.gross_minor,
        "kept_vat_minor": change.kept.vat_minor,
        "kept_fee_minor": change.kept.fee_minor,
        "kept_provider_minor": change.kept.provider_minor,
        "compensation_minor": change.compensation_minor,
    }


def _sign(row: Amendment, side: Side, label: str, at: datetime) -> None:
    setattr(row, f"{side.value}_signed_by", label)
    setattr(row, f"{side.value}_signed_at", at)


def _record(event: str, row: Amendment, actor: Actor, at: datetime, *, to_state: str) -> None:
    journal.record(
        event=event,
        object_id=row.public_id,
        actor=actor,
        at=at,
        reason=row.reason,
        to_state=to_state,
        provider_id=row.provider_id,
        tenant_id=row.tenant_id,
        data=_facts(row),
    )


def _facts(row: Amendment) -> dict[str, Any]:
    price = {
        "price_basis": row.price_basis,
        "price_amount_micro": row.price_amount_micro,
        "price_from_at": row.price_from_at.isoformat() if row.price_from_at else None,
    }
    return {
        "lease": row.lease.public_id,
        "kind": str(row.kind),
        **(price if row.kind == Kind.PRICE else {}),
        "end": row.period.upper.isoformat(),
        "gross_minor": row.gross_minor,
        "pay_minor": row.pay_minor,
        "refund_minor": row.refund_minor,
        "kept_minor": row.kept_gross_minor,
        "compensation_minor": row.compensation_minor,
        "currency": row.lease.currency,
    }
