"""Charges come onto the drafts of their months, each once, in sets.

A charge goes to the invoice of the month it was used in. Where that one is final, a positive
charge is a dated line of the next invoice, and a negative one a credit note.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

from inventory.models import Organisation
from marketplace import money

AT_ONCE = 10_000

# In the order of writing, so that the cursor can follow; `after` skips what this run has seen.
_UNBILLED = """
    SELECT c.id FROM billing_charge c
    WHERE c.id > %s AND NOT EXISTS (SELECT FROM billing_billedcharge b WHERE b.charge_id = c.id)
    ORDER BY c.id LIMIT %s
"""

# Each charge with its parties, its amounts on the document, and where it belongs. Of a deal
# paid directly the operator invoices its fee to the provider; the rest is not in our books.
_ROUTED = """
    WITH batch AS (
        SELECT c.id, c.lease_id, c.price_id, c.kind, c.hour, c.card_seconds, c.currency,
               CASE WHEN c.selling = 'direct' THEN c.fee_vat_minor ELSE c.vat_minor END AS vat,
               v.vat_code,
               CASE WHEN c.selling = 'direct' THEN l.fee_vat_bps ELSE v.vat_bps END AS vat_bps,
               date_trunc('month', c.hour AT TIME ZONE %(zone)s)::date AS used,
               CASE WHEN l.selling = 'direct' THEN 'fee' ELSE 'compute' END AS subject,
               CASE WHEN l.selling = 'direct' THEN c.provider_id ELSE c.tenant_id END AS party_id,
               CASE WHEN l.selling = 'direct' THEN c.fee_minor
                    ELSE c.gross_minor - c.vat_minor END AS net,
               CASE WHEN l.selling = 'direct' THEN 0
                    ELSE c.gross_minor - c.deposit_minor - c.wallet_minor END AS unpaid
        FROM billing_charge c
        JOIN marketplace_lease l ON l.id = c.lease_id
        JOIN marketplace_priceversion v ON v.id = c.price_id
        WHERE c.id = ANY(%(ids)s)
    ), keys AS (
        SELECT DISTINCT party_id, currency, subject, used FROM batch
    ), months AS (
        SELECT k.*, late.is_late,
               CASE WHEN late.is_late THEN next.month ELSE k.used END AS target
        FROM keys k
        CROSS JOIN LATERAL (SELECT EXISTS (
            SELECT FROM billing_invoice i WHERE i.kind = 'invoice' AND i.issuer_id = %(issuer)s
             AND (i.party_id, i.currency, i.subject, i.month)
               = (k.party_id, k.currency, k.subject, k.used)
             AND i.state <> 'draft') AS is_late) late
        -- The first month from the open one on that is not final yet: this or one of the next.
        LEFT JOIN LATERAL (
            SELECT m.month::date AS month FROM generate_series(
                greatest(k.used, %(open)s::date)::timestamp,
                greatest(k.used, %(open)s::date)::timestamp + interval '3 months',
                interval '1 month') m (month)
            WHERE late.is_late AND NOT EXISTS (
                SELECT FROM billing_invoice i WHERE i.kind = 'invoice'
                 AND i.issuer_id = %(issuer)s
                 AND (i.party_id, i.currency, i.subject, i.month)
                   = (k.party_id, k.currency, k.subject, m.month::date)
                 AND i.state <> 'draft')
            ORDER BY 1 LIMIT 1) next ON true
    ), routed AS (
        SELECT b.*, m.target AS month,
               CASE WHEN m.is_late AND b.net + b.vat < 0 THEN 'credit_note'
                    ELSE 'invoice' END AS document
        FROM batch b JOIN months m USING (party_id, currency, subject, used)
    )
"""

_V7 = """encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING substring(
    int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
    52, 1), 53, 1), 'hex')::uuid"""

_MAKE_DRAFTS = f"""
    {_ROUTED}
    INSERT INTO billing_invoice (public_id, kind, subject, state, issuer_id, party_id, currency,
        month, period, label, card_seconds, net_minor, vat_minor, total_minor, unpaid_minor,
        payment_status, seller, buyer, reason, created_at)
    SELECT {_V7}, document, subject, 'draft', %(issuer)s, party_id, currency, month,
           tstzrange(month::timestamp AT TIME ZONE %(zone)s,
                     (month + interval '1 month')::timestamp AT TIME ZONE %(zone)s),
           '', 0, 0, 0, 0, 0, '', '{{}}', '{{}}', '', %(at)s
    FROM (SELECT document, subject, party_id, currency, min(month) AS month FROM routed
          GROUP BY document, subject, party_id, currency,
                   CASE WHEN document = 'invoice' THEN month END) d
    ORDER BY party_id, month
    ON CONFLICT DO NOTHING
"""

_JOINS_DRAFT = """
    i.state = 'draft' AND i.issuer_id = %(issuer)s AND i.requested_by_id IS NULL
    AND (i.kind, i.party_id, i.currency, i.subject)
      = (r.document, r.party_id, r.currency, r.subject)
    AND (r.document = 'credit_note' OR i.month = r.month)
"""

_LOCK_DRAFTS = f"""
    {_ROUTED}
    SELECT i.id FROM billing_invoice i
    WHERE EXISTS (SELECT FROM routed r WHERE {_JOINS_DRAFT})
    ORDER BY i.id FOR NO KEY UPDATE OF i
"""

_WRITE_LINES = f"""
    {_ROUTED}, placed AS (
        SELECT r.*, i.id AS invoice_id FROM routed r
        JOIN billing_invoice i ON {_JOINS_DRAFT} AND i.id = ANY(%(locked)s)
    ), grouped AS (
        SELECT invoice_id, lease_id, price_id, kind, used, document, subject, vat_code, vat_bps,
               min(hour) AS from_at,
               max(CASE WHEN kind = 'usage' THEN hour + interval '1 hour' ELSE hour END)
                   AS until_at,
               sum(card_seconds) AS card_seconds, sum(net) AS net, sum(vat) AS vat,
               sum(unpaid) AS unpaid
        FROM placed
        GROUP BY invoice_id, lease_id, price_id, kind, used, document, subject, vat_code, vat_bps
    ), written AS (
        INSERT INTO billing_invoiceline AS l (public_id, invoice_id, lease_id, price_id, kind,
            month, corrects_id, from_at, until_at, card_seconds, vat_code, vat_bps, net_minor,
            vat_minor, gross_minor)
        SELECT {_V7}, invoice_id, lease_id, price_id, kind, used,
               CASE WHEN document = 'credit_note' THEN wrong.id END,
               from_at, until_at, card_seconds, vat_code, vat_bps, net, vat, net + vat
        FROM grouped g
        LEFT JOIN LATERAL (
            SELECT o.id FROM billing_invoiceline o JOIN billing_invoice i ON i.id = o.invoice_id
            WHERE o.lease_id = g.lease_id AND o.month = g.used AND i.kind = 'invoice'
              AND i.state = 'finalised' AND i.subject = g.subject
            ORDER BY (o.price_id = g.price_id) DESC, (o.kind = g.kind) DESC, o.gross_minor DESC,
                     o.id
            LIMIT 1) wrong ON g.document = 'credit_note'
        ORDER BY invoice_id, lease_id, used
        ON CONFLICT (invoice_id, lease_id, price_id, kind, month, corrects_id) DO UPDATE
        SET from_at = least(l.from_at, excluded.from_at),
            until_at = greatest(l.until_at, excluded.until_at),
            card_seconds = l.card_seconds + excluded.card_seconds,
            net_minor = l.net_minor + excluded.net_minor,
            vat_minor = l.vat_minor + excluded.vat_minor,
            gross_minor = l.gross_minor + excluded.gross_minor
        RETURNING l.id, l.invoice_id, l.lease_id, l.price_id, l.kind, l.month
    ), summed AS (
        UPDATE billing_invoice i
        SET card_seconds = i.card_seconds + s.card_seconds, net_minor = i.net_minor + s.net,
            vat_minor = i.vat_minor + s.vat, total_minor = i.total_minor + s.net + s.vat,
            unpaid_minor = i.unpaid_minor + s.unpaid
        FROM (SELECT invoice_id, sum(card_seconds) AS card_seconds, sum(net) AS net,
                     sum(vat) AS vat, sum(unpaid) AS unpaid
              FROM grouped GROUP BY invoice_id) s
        WHERE i.id = s.invoice_id
    )
    INSERT INTO billing_billedcharge (charge_id, line_id)
    SELECT p.id, w.id FROM placed p JOIN written w
        ON (w.invoice_id, w.lease_id, w.price_id, w.kind, w.month)
         = (p.invoice_id, p.lease_id, p.price_id, p.kind, p.used)
    ORDER BY p.id
"""

# Rows written by transactions that were still open appear late, with numbers already passed:
# the cursor keeps a day's distance.
_ADVANCE = """
    UPDATE billing_billedcursor SET charge_id = coalesce((
        SELECT c.id - 1 FROM billing_charge c
        WHERE c.id > billing_billedcursor.charge_id AND (c.created_at > %(young)s OR NOT EXISTS (
            SELECT FROM billing_billedcharge b WHERE b.charge_id = c.id))
        ORDER BY c.id LIMIT 1
    ), (SELECT max(id) FROM billing_charge WHERE id > billing_billedcursor.charge_id), charge_id)
"""


def refresh(*, at: datetime, limit: int) -> int:
    """Charges that are on no line yet come onto one, about `limit` at most; returns how many.

    Each set of them is a transaction, complete in itself. Locks the cursor, so that one works
    at a time, then the drafts. Idempotent: the charge is the key of its place.
    """
    issuer = Organisation.objects.filter(is_operator=True).first()
    if issuer is None:  # nobody runs this market yet
        return 0
    billed, after = 0, 0
    while billed < limit:
        with transaction.atomic():
            count, after = _bill(issuer.pk, after, at)
        billed += count
        if not after:
            break
    return billed


def open_month(at: datetime) -> date:
    """The first day of the earliest month that is not due to become final yet."""
    delay = timedelta(hours=settings.INVOICE_FINALISE_HOURS)
    month = money.month_of(at - delay, settings.BILLING_ZONE)
    return month.start.astimezone(ZoneInfo(settings.BILLING_ZONE)).date()


def _bill(issuer_id: int, after: int, at: datetime) -> tuple[int, int]:
    """How many charges found their line, and the last of them; 0 where none was left."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT charge_id FROM billing_billedcursor FOR UPDATE")
        (start,) = cursor.fetchone()
        cursor.execute(_UNBILLED, [max(start, after), AT_ONCE])
        ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            cursor.execute(_ADVANCE, {"young": at - timedelta(days=1)})
            return 0, 0
        facts: dict[str, Any] = {
            "ids": ids,
            "zone": settings.BILLING_ZONE,
            "issuer": issuer_id,
            "open": open_month(at),
            "at": at,
        }
        cursor.execute(_MAKE_DRAFTS, facts)
        cursor.execute(_LOCK_DRAFTS, facts)
        facts["locked"] = [row[0] for row in cursor.fetchall()]
        # A draft that became final meanwhile has left its charges to the next run.
        cursor.execute(_WRITE_LINES, facts)
        return cursor.rowcount, ids[-1]
