"""Instalments are collected when they fall due, and are debts once their grace is over.

Ahead, an instalment fills the lease's deposit, and first pays what was used without one; in
arrears it pays what was used in its period. Locks, in order: lease, tally, instalment, balances.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet, Sum

from billing import chart, ledger
from billing.instalments import ACTOR, facts
from billing.ledger import Kind as Movement
from billing.models import Charge, Instalment, LeaseTally
from inventory import transitions
from inventory.errors import DomainError
from marketplace.models import Lease

logger = logging.getLogger(__name__)
Kind = Instalment.Kind
State = Instalment.State
_TAKEN = (
    "amount_minor",
    "deposit_minor",
    "security_minor",
    "used_minor",
    "receivable_minor",
    "cleared_minor",
    "ledger_transaction",
)


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


def _collected(row: Instalment, at: datetime) -> int:
    transitions.advance(
        row, to=State.COLLECTED, at=at, actor=ACTOR, changed=_TAKEN, data=facts(row)
    )
    return 1


def _late(row: Instalment, at: datetime) -> int:
    """Due and not paid; overdue once the grace is over."""
    to = State.OVERDUE if at >= row.grace_until else State.UNPAID
    was = row.state
    if row.state == State.PLANNED:
        transitions.advance(
            row, to=State.UNPAID, at=at, actor=ACTOR, changed=("amount_minor",), data=facts(row)
        )
    if row.state != to:
        transitions.advance(row, to=to, at=at, actor=ACTOR, changed=_TAKEN, data=facts(row))
    elif was == to:
        row.save(update_fields=["amount_minor"])
    return int(was != row.state)


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
