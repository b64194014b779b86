"""The trial balance (试算平衡): what each account began with, what moved, and what it ended with.

Told backwards from now: an account's balance row, or its checkpoint and the entries after it,
less what is effective since. So a month costs what was posted from its beginning on, not all
that ever was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import QuerySet

from billing.models import LedgerAccount, LedgerEntry, LedgerTransaction
from inventory.periods import Period

KINDS = ("asset", "liability", "equity", "revenue", "expense")


@dataclass(frozen=True, slots=True)
class Sums:
    """Minor units; opening and closing are debit positive."""

    opening_minor: int = 0
    debit_minor: int = 0
    credit_minor: int = 0

    @property
    def closing_minor(self) -> int:
        return self.opening_minor + self.debit_minor - self.credit_minor

    @property
    def is_still(self) -> bool:
        return not (self.opening_minor or self.debit_minor or self.credit_minor)

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.opening_minor + other.opening_minor,
            self.debit_minor + other.debit_minor,
            self.credit_minor + other.credit_minor,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One account."""

    account_id: int
    code: str
    kind: str
    purpose: str
    owner_id: int | None
    sums: Sums


@dataclass(frozen=True, slots=True)
class Level:
    """All accounts of a kind, or of one purpose of it, in the order of the chart."""

    name: str  # `asset`, or `asset:bank`
    is_kind: bool
    account_count: int
    sums: Sums


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """All accounts of a currency over a period; those that never moved are left out."""

    currency: str
    period: Period
    rows: list[Row]

    @property
    def total(self) -> Sums:
        return sum((row.sums for row in self.rows), Sums())

    @property
    def is_balanced(self) -> bool:
        """Openings and closings sum to zero, debits are as much as credits."""
        total = self.total
        return (
            total.opening_minor == 0
            and total.closing_minor == 0
            and total.debit_minor == total.credit_minor
        )

    def levels(self) -> list[Level]:
        """The kinds in the order of the chart, each followed by its purposes."""
        found = []
        for kind in KINDS:
            of_kind = [row for row in self.rows if row.kind == kind]
            if not of_kind:
                continue
            found.append(_level(kind, True, of_kind))
            for purpose in sorted({row.purpose for row in of_kind}):
                rows = [row for row in of_kind if row.purpose == purpose]
                found.append(_level(f"{kind}:{purpose}", False, rows))
        return found


def _level(name: str, is_kind: bool, rows: Sequence[Row]) -> Level:
    return Level(name, is_kind, len(rows), sum((row.sums for row in rows), Sums()))


# One statement is one snapshot: what is posted meanwhile is in none of its parts.
_ROWS = """
    WITH since AS (
        SELECT e.account_id, sum(e.amount_minor) AS all_minor,
               sum(e.amount_minor) FILTER (WHERE e.amount_minor > 0 AND t.effective_at < %(end)s)
                   AS debit,
               -sum(e.amount_minor) FILTER (WHERE e.amount_minor < 0 AND t.effective_at < %(end)s)
                   AS credit
        FROM billing_ledgertransaction t JOIN billing_ledgerentry e ON e.transaction_id = t.id
        WHERE t.effective_at >= %(start)s AND e.currency = %(currency)s
        GROUP BY e.account_id
    ), now AS (
        SELECT a.id, a.code, a.kind, a.purpose, a.owner_id,
               ledger_normal(a.kind) * coalesce(b.posted::numeric, c.posted, 0)
               + CASE WHEN b.account_id IS NULL THEN coalesce((
                     SELECT sum(e.amount_minor) FROM billing_ledgerentry e
                     WHERE e.account_id = a.id AND e.id > coalesce(c.through_entry, 0)), 0)
                 ELSE 0 END AS minor
        FROM billing_ledgeraccount a
        LEFT JOIN billing_ledgerbalance b ON b.account_id = a.id
        LEFT JOIN LATERAL (
            SELECT through_entry, posted FROM billing_ledgercheckpoint
            WHERE account_id = a.id ORDER BY through_entry DESC LIMIT 1) c
          ON b.account_id IS NULL
        WHERE a.currency = %(currency)s
    )
    SELECT n.id, n.code, n.kind, n.purpose, n.owner_id, n.minor - coalesce(s.all_minor, 0),
           coalesce(s.debit, 0), coalesce(s.credit, 0)
    FROM now n LEFT JOIN since s ON s.account_id = n.id
    ORDER BY n.code
"""


def of(*, currency: str, period: Period) -> TrialBalance:
    """The trial balance of a currency. One statement, no lock.

    A transaction belongs to the period it is effective in. Amounts may lie beyond 64 bits.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, {"currency": currency, "start": period.start, "end": period.end})
        rows = [
            Row(pk, code, kind, purpose, owner, Sums(int(opening), int(debit), int(credit)))
            for pk, code, kind, purpose, owner, opening, debit, credit in cursor.fetchall()
        ]
    return TrialBalance(currency, period, [row for row in rows if not row.sums.is_still])


def currencies() -> list[str]:
    """Those that were ever posted in, sorted."""
    rows = LedgerAccount.objects.order_by("currency").values_list("currency", flat=True)
    return list(rows.distinct())


def entries(*, code: str, period: Period) -> QuerySet[LedgerEntry]:
    """What moved an account in a period, with its transactions: the way down from a row."""
    return LedgerEntry.objects.filter(
        account__code=code,
        transaction__effective_at__gte=period.start,
        transaction__effective_at__lt=period.end,
    ).select_related("transaction", "account")


def legs(transaction: LedgerTransaction) -> Iterator[tuple[str, int]]:
    """The accounts and amounts of one transaction, as they were posted."""
    rows = transaction.entries.order_by("pk").values_list("account__code", "amount_minor")
    yield from rows


def opening(*, code: str, at: datetime) -> int:
    """What lay on one account before an instant, debit positive."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(e.amount_minor), 0) FROM billing_ledgerentry e"
            " JOIN billing_ledgeraccount a ON a.id = e.account_id"
            " JOIN billing_ledgertransaction t ON t.id = e.transaction_id"
            " WHERE a.code = %s AND t.effective_at < %s",
            [code, at],
        )
        return int(cursor.fetchone()[0])
