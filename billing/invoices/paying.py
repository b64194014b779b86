"""Whether an invoice is paid: followed from what its party still owes, never the other way."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

# What a party owes in all is owed for its newest documents: money that comes in pays the oldest
# first. Drafts count too, since their charges are owed already.
_FOLLOW = """
    WITH owed AS (
        SELECT a.owner_id, a.currency, sum(b.posted) AS minor
        FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
        WHERE a.purpose IN ('tenant_receivable', 'tenant_arrears') GROUP BY 1, 2
    ), newest AS (
        SELECT i.id, i.payment_status, i.due_at, i.state, coalesce(sum(i.unpaid_minor) OVER (
                   PARTITION BY i.party_id, i.currency ORDER BY i.month DESC, i.id DESC
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS newer,
               i.unpaid_minor, coalesce(o.minor, 0) AS owed
        FROM billing_invoice i
        LEFT JOIN owed o ON (o.owner_id, o.currency) = (i.party_id, i.currency)
        WHERE i.subject = 'compute' AND i.state <> 'discarded' AND i.unpaid_minor > 0
          AND EXISTS (SELECT FROM billing_invoice w
                      WHERE w.party_id = i.party_id AND w.payment_status IN ('open', 'overdue'))
    ), wanted AS (
        SELECT id, CASE WHEN newer >= owed THEN 'paid'
                        WHEN due_at <= %(at)s THEN 'overdue' ELSE 'open' END AS status
        FROM newest WHERE state = 'finalised' AND payment_status IN ('open', 'overdue')
    )
    UPDATE billing_invoice i SET payment_status = w.status,
        paid_at = CASE WHEN w.status = 'paid' THEN %(at)s END
    FROM (SELECT j.id, w.status FROM billing_invoice j JOIN wanted w USING (id)
          WHERE j.payment_status <> w.status ORDER BY j.id FOR NO KEY UPDATE OF j) w
    WHERE i.id = w.id
"""


def follow_payments(*, at: datetime) -> int:
    """Open invoices that are paid, or late, say so; returns how many changed. Idempotent."""
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOW, {"at": at})
        return int(cursor.rowcount)
