"""Payments of leases by their schedules: made with the lease, and made anew by changes.

A schedule moves no price; `billing/collecting.py` collects what it asks for.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Sum

from billing.models import Instalment, LeaseTally
from inventory import actors, transitions
from inventory.actors import Actor
from inventory.periods import Period
from marketplace import lease_prices, months, schedules
from marketplace.models import Amendment, Lease, PriceVersion
from marketplace.schedules import Due

ACTOR = actors.system("instalments")
Kind = Instalment.Kind
State = Instalment.State
Schedule = PriceVersion.Schedule
_SCHEDULED = (Schedule.ADVANCE, Schedule.ARREARS)
# What a change that is paid at once adds to; in arrears none is.
_AHEAD: dict[Schedule, schedules.Kind] = {
    Schedule.PREPAID: "whole",
    Schedule.DEPOSIT_HOURLY: "deposit",
    Schedule.ADVANCE: "advance",
    Schedule.ARREARS: "arrears",
}


def begin(leases: Iterable[Lease], *, at: datetime) -> None:
    """Leases that were confirmed just now, and what is due of them paid, have their tallies and
    every instalment of their schedules. Not idempotent."""
    rows: list[Instalment] = []
    tallies = []
    for lease in leases:
        ahead_minor = lease.due_minor - lease.security_minor
        tallies.append(
            LeaseTally(
                lease=lease,
                paid_minor=ahead_minor,
                deposit_left_minor=ahead_minor,
                security_minor=lease.security_minor,
            )
        )
        if lease.security_minor:
            whole = Period.of(lease.period)
            rows.append(_row(lease, Due("security", whole, None, lease.security_minor), at))
        dues = lease_prices.instalments(lease=lease, period=Period.of(lease.period))
        rows += [_row(lease, due, at) for due in dues]
    LeaseTally.objects.bulk_create(tallies)
    Instalment.objects.bulk_create(rows)


def open_debt_minor(lease: Lease) -> int:
    """What of the lease's instalments has become a debt and is still one."""
    rows = Instalment.objects.filter(lease=lease, state=State.OVERDUE)
    sums = rows.aggregate(owed=Sum("receivable_minor"), cleared=Sum("cleared_minor"))
    return (sums["owed"] or 0) - (sums["cleared"] or 0)


def late_minor(lease: Lease) -> int:
    """What the lease's schedule has asked for, and nobody has paid yet."""
    late = Instalment.objects.filter(lease=lease, state__in=[State.UNPAID, State.OVERDUE])
    return sum(row.open_minor for row in late)


def overdue_minor(tenant_id: int, currency: str) -> int:
    """What a tenant's schedules ask for beyond every grace, in all."""
    rows = Instalment.objects.filter(tenant_id=tenant_id, currency=currency, state=State.OVERDUE)
    return sum(row.open_minor for row in rows)


def paid_by(
    *, lease: Lease, amendment: Amendment, transaction_id: int | None, at: datetime
) -> None:
    """What the signed change was paid with at once is an instalment like any other."""
    if not amendment.pay_minor:
        return
    kind = _AHEAD[Schedule(lease.price.schedule)]
    row = _row(lease, Due(kind, Period.of(lease.period), None, amendment.pay_minor), at)
    row.amendment, row.ledger_transaction_id = amendment, transaction_id
    row.save(force_insert=True)


def remake(
    *, lease: Lease, tally: LeaseTally, amendment: Amendment, at: datetime, actor: Actor
) -> None:
    """The locked lease was changed: what is not paid of it is asked as it stands now.

    Of what is paid already nothing is asked again; what was late is as late as it was.
    """
    if lease.price.schedule not in _SCHEDULED:
        return
    if not lease.gross_minor:  # nothing of it remains
        _waive(lease, at=at, actor=actor, reason="changed", since=None)
        return
    ahead = lease.price.schedule == Schedule.ADVANCE
    period = Period.of(lease.period)
    dues = [
        due
        for due in lease_prices.instalments(lease=lease, period=period)
        if ahead or due.period.end > at
    ]
    _waive(lease, at=at, actor=actor, reason="changed", since=None if ahead else at)
    total, asked, rows = 0, tally.paid_minor if ahead else 0, []
    for due in dues:
        total += due.amount_minor
        amount = total - max(asked, total - due.amount_minor)
        if amount > 0 or not ahead:
            row = _row(lease, Due(due.kind, due.period, due.due_at or at, max(0, amount)), at)
            row.amendment = amendment
            rows.append(row)
    Instalment.objects.bulk_create(rows)


def wind_up(*, lease: Lease, tally: LeaseTally, at: datetime) -> bool:
    """Nothing more is asked of a lease that is over but for what was used: that is due now.

    False while some of it waits to be collected. The caller holds lease and tally.
    """
    end = max(Period.of(lease.period).start, lease.allocation.period.upper)
    _waive(lease, at=at, actor=ACTOR, reason="the lease is over", since=end)
    used = Instalment.objects.filter(lease=lease, kind=Kind.ARREARS)
    if used.filter(state__in=[State.PLANNED, State.UNPAID]).exists():
        return False
    if not tally.arrears_minor:
        return True
    used_until = Period(Period.of(lease.period).start, end)
    due = Due("arrears", used_until, at, tally.arrears_minor)
    _row(lease, due, at).save(force_insert=True)
    return False


def drop(*, lease: Lease, at: datetime, actor: Actor, reason: str) -> None:
    """Nothing of the locked lease is asked any more: it never began."""
    _waive(lease, at=at, actor=actor, reason=reason, since=None)


def _row(lease: Lease, due: Due, at: datetime) -> Instalment:
    """Not saved. Without an instant of its own it was paid just now."""
    due_at = due.due_at or at
    row = Instalment(
        lease=lease,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        kind=due.kind,
        period=due.period.range,
        due_at=due_at,
        grace_until=months.days_later(due_at, lease.price.grace_days, lease.price.billing_zone),
        currency=lease.currency,
        amount_minor=due.amount_minor,
        created_at=at,
    )
    if due.due_at is None:
        row.state, row.collected_at = State.COLLECTED, at
        if row.kind == Kind.SECURITY:
            row.security_minor = due.amount_minor
        else:
            row.deposit_minor = due.amount_minor
    return row


def _waive(
    lease: Lease, *, at: datetime, actor: Actor, reason: str, since: datetime | None
) -> None:
    """What is open, and nothing taken for it; of what is paid in arrears only those whose period
    ends after `since`, where that is said: what was used before is owed."""
    rows = Instalment.objects.select_for_update(of=("self",), no_key=True).filter(
        lease=lease, state__in=Instalment.OPEN, receivable_minor=0
    )
    for row in rows.select_related("lease").order_by("pk"):
        if row.kind == Kind.ARREARS and since is not None and row.period.upper <= since:
            continue
        transitions.advance(
            row, to=State.WAIVED, at=at, actor=actor, reason=reason, data=facts(row)
        )


def facts(row: Instalment) -> dict[str, object]:
    """What the journal says of it."""
    return {
        "lease": row.lease.public_id,
        "kind": str(row.kind),
        "due_at": row.due_at.isoformat(),
        "amount_minor": row.amount_minor,
        "currency": row.currency,
    }
