"""Payments of leases by their schedules: made, collected when due, and made anew by changes.

A schedule moves no price. Ahead, an instalment fills the lease's deposit, and first pays what
was used without one; in arrears it pays what was used in its period. Locks, in order: lease,
tally, instalment, balances.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet, Sum

from billing import chart, ledger
from billing.ledger import Kind as Movement
from billing.models import Charge, Instalment, LeaseTally
from inventory import actors, transitions
from inventory.actors import Actor
from inventory.errors import DomainError
from inventory.periods import Period
from marketplace import lease_prices, months, schedules
from marketplace.models import Amendment, Lease, PriceVersion
from marketplace.schedules import Due

logger = logging.getLogger(__name__)
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


def collect_due(*, at: datetime, limit: int) -> int:
    """Instalments that are due are collected as far as wallets reach; returns how many moved.

    Whole, or not at all until the grace is over; then what was used and stays unpaid is a debt.
    One transaction each; a lease that somebody else works on is left to the next run.
    Idempotent.
    """
    moved = 0
    for pk, lease_id in _due(at, limit):
        try:
            with transaction.atomic():
                moved += _collect(pk, lease_id, at)
        except DomainError as error:
            logger.warning("instalment %s is not collected: %s", pk, error)
    return moved


def note_cleared(*, at: datetime, limit: int) -> int:
    """Debts of instalments that were paid since are noted as such, the oldest first; returns how
    many are paid by it. What else a tenant owes is paid before them. Idempotent."""
    paid = 0
    for tenant_id, currency in _cleared(limit):
        with transaction.atomic():
            paid += _note_cleared(tenant_id, currency, at)
    return paid


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


def return_security(
    *, lease: Lease, tally: LeaseTally, debt_minor: int, at: datetime, actor: Actor
) -> int:
    """The security is the tenant's again, after what the lease owes; returns what reached the
    wallet. The caller holds lease and tally; locks the balances."""
    if not tally.security_minor:
        return 0
    tenant, currency = lease.tenant, lease.currency
    security, wallet = chart.security(tenant, currency), chart.wallet(tenant, currency)
    receivable = chart.receivable(tenant, currency)
    owed = ledger.lock([security, wallet, receivable])[receivable]
    paid = min(debt_minor, owed, tally.security_minor)
    entries = [
        (security, tally.security_minor),
        (receivable, -paid),
        (wallet, paid - tally.security_minor),
    ]
    ledger.post(
        kind=Movement.SECURITY_RETURNED,
        key=f"lease:{lease.public_id}:security_returned",
        entries=[entry for entry in entries if entry[1]],
        at=at,
        actor=actor,
        external_reference=lease.public_id,
    )
    returned = tally.security_minor - paid
    tally.security_minor = 0
    tally.save(update_fields=["security_minor"])
    return returned


def take_security(
    lease_id: str, *, wallet: str, security: str, amount_minor: int, at: datetime, actor: Actor
) -> None:
    """押金: wallet → security, for the reservation or basket of that id."""
    if amount_minor:
        ledger.post(
            kind=Movement.SECURITY_TAKEN,
            key=f"deal:{lease_id}:security",
            entries=[(wallet, amount_minor), (security, -amount_minor)],
            at=at,
            actor=actor,
            external_reference=lease_id,
        )


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


def _due(at: datetime, limit: int) -> list[tuple[int, int]]:
    """Instalments that would move now: fallen due, out of grace, or the wallet has enough."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT i.id, i.lease_id FROM billing_instalment i
            JOIN marketplace_lease l ON l.id = i.lease_id
            JOIN inventory_allocation c ON c.id = l.allocation_id
            JOIN billing_leasetally t ON t.lease_id = l.id
            LEFT JOIN billing_ledgeraccount a ON a.owner_id = i.tenant_id
             AND a.purpose = 'wallet' AND a.currency = i.currency
            LEFT JOIN billing_ledgerbalance b ON b.account_id = a.id
            WHERE i.state IN ('planned', 'unpaid', 'overdue') AND i.due_at <= %(at)s
              AND (i.state = 'planned'
                   OR coalesce(b.posted - b.held + b.floor_minor, 0) >= i.amount_minor
                      AND NOT (i.kind = 'arrears' AND i.state = 'overdue')
                   OR i.state = 'unpaid' AND i.grace_until <= %(at)s)
              -- Nobody pays ahead for a lease that goes on no more.
              AND (i.kind = 'arrears' OR l.end_reason = ''
                   AND l.state IN ('scheduled', 'delivering', 'active'))
              -- What was used is known once its hours are charged, or there are no more of them.
              AND (i.kind <> 'arrears' OR l.state IN ('failed', 'cancelled')
                   OR t.rated_until >= least(upper(i.period), upper(c.period)))
            ORDER BY i.due_at, i.id LIMIT %(limit)s
            """,
            {"at": at, "limit": limit},
        )
        return [(pk, lease_id) for pk, lease_id in cursor.fetchall()]


def _collect(pk: int, lease_id: int, at: datetime) -> int:
    locked = Lease.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
    lease = locked.select_related("tenant", "price").filter(pk=lease_id).first()
    if lease is None:
        return 0
    tally = LeaseTally.objects.select_for_update(no_key=True).get(lease=lease)
    row = Instalment.objects.select_for_update(no_key=True).get(pk=pk)
    if row.state not in Instalment.OPEN or row.due_at > at:
        return 0
    wallet = chart.wallet(lease.tenant, lease.currency)
    purse = [wallet, chart.deposit(lease.tenant, lease.currency)]
    purse += [chart.arrears(lease.tenant, lease.currency)]
    purse += [chart.receivable(lease.tenant, lease.currency)]
    available = ledger.lock(purse)[wallet]
    if row.kind == Kind.ARREARS:
        return _collect_used(row, lease, tally, available, at)
    return _collect_ahead(row, lease, tally, available, at)


def _collect_ahead(
    row: Instalment, lease: Lease, tally: LeaseTally, available: int, at: datetime
) -> int:
    """Wallet → deposit, whole; of it first what was used before it was paid."""
    if available < row.amount_minor:
        return _late(row, at)
    row.used_minor = min(tally.arrears_minor, row.amount_minor)
    row.deposit_minor = row.amount_minor - row.used_minor
    _post(
        row,
        Movement.INSTALMENT_COLLECTED,
        [
            (chart.wallet(lease.tenant, lease.currency), row.amount_minor),
            (chart.arrears(lease.tenant, lease.currency), -row.used_minor),
            (chart.deposit(lease.tenant, lease.currency), -row.deposit_minor),
        ],
        at,
    )
    tally.paid_minor += row.amount_minor
    tally.deposit_left_minor += row.deposit_minor
    tally.arrears_minor -= row.used_minor
    tally.save(update_fields=["paid_minor", "deposit_left_minor", "arrears_minor"])
    return _collected(row, at)


def _collect_used(
    row: Instalment, lease: Lease, tally: LeaseTally, available: int, at: datetime
) -> int:
    """Wallet → arrears; beyond the grace what the wallet has, and the rest is owed."""
    if row.state == State.OVERDUE:
        return 0  # a debt by now: it is cleared like any other
    row.amount_minor = _used_minor(row, tally)
    if available < row.amount_minor and at < row.grace_until:
        return _late(row, at)
    row.used_minor = max(0, min(available, row.amount_minor))
    row.receivable_minor = row.amount_minor - row.used_minor
    arrears = chart.arrears(lease.tenant, lease.currency)
    if row.used_minor:
        wallet = chart.wallet(lease.tenant, lease.currency)
        entries = [(wallet, row.used_minor), (arrears, -row.used_minor)]
        _post(row, Movement.ARREARS_COLLECTED, entries, at)
    if row.receivable_minor:
        owed = chart.receivable(lease.tenant, lease.currency)
        entries = [(owed, row.receivable_minor), (arrears, -row.receivable_minor)]
        _post(row, Movement.ARREARS_OVERDUE, entries, at)
    tally.arrears_minor -= row.amount_minor
    tally.save(update_fields=["arrears_minor"])
    return _late(row, at) if row.receivable_minor else _collected(row, at)


def _used_minor(row: Instalment, tally: LeaseTally) -> int:
    """What was used before the end of its period, and no instalment before it has asked for:
    late corrections of earlier months among it."""
    others = Instalment.objects.filter(lease_id=row.lease_id, kind=Kind.ARREARS)
    others = others.exclude(pk=row.pk).exclude(state__in=[State.PLANNED, State.WAIVED])
    lease = row.lease
    if lease.state not in Lease.RUNNING and row.period.upper >= lease.allocation.period.upper:
        # The last one asks for whatever is left.
        waiting = others.filter(state=State.UNPAID)
        return max(0, tally.arrears_minor - _sum(waiting, "amount_minor"))
    used = Charge.objects.filter(lease_id=row.lease_id, hour__lt=row.period.upper)
    before = others.filter(period__startswith__lt=row.period.lower)
    left = _sum(used, "arrears_minor") - _sum(before, "amount_minor")
    return max(0, min(tally.arrears_minor, left))


def _sum(rows: QuerySet[Any], column: str) -> int:
    return int(rows.aggregate(minor=Sum(column, default=0))["minor"])


def _post(row: Instalment, kind: Movement, entries: list[ledger.Entry], at: datetime) -> None:
    booked = [entry for entry in entries if entry[1]]
    if booked:
        row.ledger_transaction_id = ledger.post(
            kind=kind,
            key=f"instalment:{row.public_id}:{kind.value}",
            entries=booked,
            at=at,
            actor=ACTOR,
            external_reference=row.public_id,
        )


_TAKEN = (
    "amount_minor",
    "deposit_minor",
    "security_minor",
    "used_minor",
    "receivable_minor",
    "cleared_minor",
    "ledger_transaction",
)


def _collected(row: Instalment, at: datetime) -> int:
    transitions.advance(
        row, to=State.COLLECTED, at=at, actor=ACTOR, changed=_TAKEN, data=_facts(row)
    )
    return 1


def _late(row: Instalment, at: datetime) -> int:
    """Due and not paid; overdue once the grace is over."""
    to = State.OVERDUE if at >= row.grace_until else State.UNPAID
    was = row.state
    if row.state == State.PLANNED:
        transitions.advance(
            row, to=State.UNPAID, at=at, actor=ACTOR, changed=("amount_minor",), data=_facts(row)
        )
    if row.state != to:
        transitions.advance(row, to=to, at=at, actor=ACTOR, changed=_TAKEN, data=_facts(row))
    elif was == to:
        row.save(update_fields=["amount_minor"])
    return int(was != row.state)


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
            row, to=State.WAIVED, at=at, actor=actor, reason=reason, data=_facts(row)
        )


def _facts(row: Instalment) -> dict[str, object]:
    return {
        "lease": row.lease.public_id,
        "kind": str(row.kind),
        "due_at": row.due_at.isoformat(),
        "amount_minor": row.amount_minor,
        "currency": row.currency,
    }


def _cleared(limit: int) -> list[tuple[int, str]]:
    """Tenants that owe less than their instalments in arrears have left open."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT i.tenant_id, i.currency FROM billing_instalment i
            LEFT JOIN billing_ledgeraccount a ON a.owner_id = i.tenant_id
             AND a.purpose = 'tenant_receivable' AND a.currency = i.currency
            LEFT JOIN billing_ledgerbalance b ON b.account_id = a.id
            WHERE i.state = 'overdue' AND i.receivable_minor > i.cleared_minor
            GROUP BY i.tenant_id, i.currency, b.posted
            HAVING sum(i.receivable_minor - i.cleared_minor) > coalesce(b.posted, 0)
            ORDER BY 1, 2 LIMIT %s
            """,
            [limit],
        )
        return [(tenant_id, currency) for tenant_id, currency in cursor.fetchall()]


def _note_cleared(tenant_id: int, currency: str, at: datetime) -> int:
    rows = list(
        Instalment.objects.select_for_update(of=("self",), no_key=True)
        .select_related("tenant", "lease")
        .filter(tenant_id=tenant_id, currency=currency, state=State.OVERDUE)
        .exclude(receivable_minor=0)
        .order_by("due_at", "pk")
    )
    if not rows:
        return 0
    code = chart.receivable(rows[0].tenant, currency)
    left = sum(row.receivable_minor - row.cleared_minor for row in rows)
    left -= max(0, ledger.lock([code])[code])
    paid = 0
    for row in rows:
        part = min(left, row.receivable_minor - row.cleared_minor)
        if part <= 0:
            break
        row.cleared_minor += part
        left -= part
        if row.cleared_minor == row.receivable_minor:
            paid += _collected(row, at)
        else:
            row.save(update_fields=["cleared_minor"])
    return paid
