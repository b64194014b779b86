"""How long money has lain where it only passes through.

Every state between two others is a clearing account that returns to zero; what does not, grows
old, and that is how a lost fact shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

# Days that money may lie there (spec/billing.md §6, reconciliation).
LIMITS = {
    "provider_settling": timedelta(days=3),
    "unmatched_receipts": timedelta(days=5),
    "dispute_receivable": timedelta(days=90),
    "fx": timedelta(days=1),
}


@dataclass(frozen=True, slots=True)
class Lying:
    """A clearing account that is not at zero, in its own direction."""

    code: str
    purpose: str
    currency: str
    open_minor: int
    since: datetime  # of the oldest amount that is still there, first in first out
    is_late: bool


def clearing(*, at: datetime) -> list[Lying]:
    """The clearing accounts that hold something, oldest first. One statement, without a lock.

    First in, first out: what lies there is what came last, so that the oldest of it is found by
    going back from the newest entry of its direction until the balance is covered.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE held AS (
                SELECT a.id, a.code, a.purpose, a.currency, a.kind, sum(e.amount_minor) AS total
                FROM billing_ledgeraccount a JOIN billing_ledgerentry e ON e.account_id = a.id
                WHERE a.purpose = ANY (%s) GROUP BY a.id HAVING sum(e.amount_minor) <> 0
            ), back AS (
                SELECT h.id, x.entry, x.amount AS covered FROM held h CROSS JOIN LATERAL (
                    SELECT e.id AS entry, abs(e.amount_minor)::numeric AS amount
                    FROM billing_ledgerentry e
                    WHERE e.account_id = h.id AND sign(e.amount_minor) = sign(h.total)
                    ORDER BY e.id DESC LIMIT 1) x
                UNION ALL
                SELECT b.id, x.entry, b.covered + x.amount
                FROM back b JOIN held h USING (id) CROSS JOIN LATERAL (
                    SELECT e.id AS entry, abs(e.amount_minor)::numeric AS amount
                    FROM billing_ledgerentry e
                    WHERE e.account_id = h.id AND sign(e.amount_minor) = sign(h.total)
                      AND e.id < b.entry ORDER BY e.id DESC LIMIT 1) x
                WHERE b.covered < abs(h.total)
            )
            SELECT h.code, h.purpose, h.currency, h.total * ledger_normal(h.kind),
                   -- A settlement is of the month's end, and waits from when it was made.
                   min(CASE h.purpose WHEN 'provider_settling' THEN t.created_at
                       ELSE t.effective_at END)
            FROM back b JOIN held h USING (id)
            JOIN billing_ledgerentry e ON e.id = b.entry
            JOIN billing_ledgertransaction t ON t.id = e.transaction_id
            GROUP BY h.code, h.purpose, h.currency, h.total, h.kind ORDER BY 5, 1
            """,
            [list(LIMITS)],
        )
        return [
            Lying(code, purpose, currency, int(minor), since, at - since > LIMITS[purpose])
            for code, purpose, currency, minor, since in cursor.fetchall()
        ]
