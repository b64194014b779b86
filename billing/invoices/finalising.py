"""A draft becomes a document: numbered without a gap, and never changed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from billing.invoices import drafts
from billing.models import Invoice
from inventory import actors, journal
from inventory.actors import Actor

ACTOR = actors.system("invoices")
AT_ONCE = 200
EVERYTHING = 10**9


@dataclass(frozen=True, slots=True)
class Finalised:
    """What a run made."""

    billed: int  # charges that came onto a line
    invoices: int
    credit_notes: int
    discarded: int  # drafts that nothing was left on

    def __add__(self, other: Finalised) -> Finalised:
        return Finalised(
            self.billed + other.billed,
            self.invoices + other.invoices,
            self.credit_notes + other.credit_notes,
            self.discarded + other.discarded,
        )


@dataclass(frozen=True, slots=True)
class Outlook:
    """How much a run would still have to do, for who shows its progress."""

    charges: int
    documents: int


_DUE = """
    FROM billing_invoice
    WHERE state = 'draft' AND requested_by_id IS NULL
      AND (kind = 'credit_note' OR upper(period) <= %s)
"""


def finalise_due(*, at: datetime, limit: int) -> Finalised:
    """Drafts whose month has been over for INVOICE_FINALISE_HOURS are final, `limit` at most.

    First every charge comes onto its line, so that none of that month is missed. What the
    sweep gathered to give back becomes a credit note. Some hundred documents are one
    transaction: killed in it, their numbers are free again. Locks the drafts (those others
    work on are skipped), then the series. Idempotent.
    """
    done = Finalised(drafts.refresh(at=at, limit=EVERYTHING), 0, 0, 0)
    count = 0
    while count < limit:
        with transaction.atomic():
            ids = _lock_due(at, min(AT_ONCE, limit - count))
            if not ids:
                break
            done += finalise(ids, at=at, actor=ACTOR)
        count += len(ids)
    return done


def outlook(*, at: datetime) -> Outlook:
    """Locks nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM billing_charge c WHERE c.id > ("
            " SELECT charge_id FROM billing_billedcursor) AND NOT EXISTS ("
            " SELECT FROM billing_billedcharge b WHERE b.charge_id = c.id)"
        )
        (charges,) = cursor.fetchone()
        cursor.execute(f"SELECT count(*) {_DUE}", [_cut(at)])
        (documents,) = cursor.fetchone()
    return Outlook(charges, documents)


def finalise(ids: Sequence[int], *, at: datetime, actor: Actor) -> Finalised:
    """The locked drafts are numbered and frozen, in the caller's transaction."""
    negative = Invoice.objects.filter(pk__in=ids, kind=Invoice.Kind.INVOICE, total_minor__lt=0)
    for row in negative.order_by("pk"):
        _credit_negative_lines(row, at)
    empty = _discard_empty(ids, at)
    rows = [pk for pk in ids if pk not in empty]
    made = _number(rows, at)
    for public_id, kind, label, party_id, subject, total, currency in made:
        journal.record(
            event="invoice.finalised",
            object_id=public_id,
            actor=actor,
            at=at,
            from_state=Invoice.State.DRAFT,
            to_state=Invoice.State.FINALISED,
            tenant_id=party_id if subject == Invoice.Subject.COMPUTE else None,
            provider_id=party_id if subject == Invoice.Subject.FEE else None,
            data={"label": label, "kind": kind, "total_minor": total, "currency": currency},
        )
    invoices = sum(kind == Invoice.Kind.INVOICE for _id, kind, *_rest in made)
    return Finalised(0, invoices, len(made) - invoices, len(empty))


def _cut(at: datetime) -> datetime:
    return at - timedelta(hours=settings.INVOICE_FINALISE_HOURS)


def _lock_due(at: datetime, size: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id {_DUE} ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED",
            [_cut(at), size],
        )
        return [row[0] for row in cursor.fetchall()]


def _credit_negative_lines(row: Invoice, at: datetime) -> None:
    """An invoice cannot ask for less than nothing: what is negative goes on a credit note.

    Of its own, final with the others of the next run; such as a compensation in a month
    without use, or a correction of which the month's own hours are less.
    """
    note, _ = Invoice.objects.get_or_create(
        kind=Invoice.Kind.CREDIT_NOTE,
        state=Invoice.State.DRAFT,
        requested_by=None,
        issuer_id=row.issuer_id,
        party_id=row.party_id,
        currency=row.currency,
        subject=row.subject,
        defaults={"month": row.month, "period": row.period, "created_at": at},
    )
    Invoice.objects.select_for_update(no_key=True).get(pk=note.pk)
    # The note's own lines are of months that are final, so that none of these is there yet.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE billing_invoiceline l SET invoice_id = %s, corrects_id = (
                SELECT o.id FROM billing_invoiceline o
                JOIN billing_invoice i ON i.id = o.invoice_id
                WHERE o.lease_id = l.lease_id AND i.kind = 'invoice' AND i.state = 'finalised'
                  AND i.subject = %s ORDER BY o.month DESC, o.id DESC LIMIT 1)
            WHERE l.invoice_id = %s AND l.gross_minor < 0
            """,
            [note.pk, row.subject, row.pk],
        )
        cursor.execute(_RECOUNT, [[row.pk, note.pk]])


# A document's sums from its lines, and what was not paid of it from its charges.
_RECOUNT = """
    UPDATE billing_invoice i SET card_seconds = s.card_seconds, net_minor = s.net,
        vat_minor = s.vat, total_minor = s.net + s.vat, unpaid_minor = u.unpaid
    FROM billing_invoice j
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(card_seconds), 0) AS card_seconds,
               coalesce(sum(net_minor), 0) AS net, coalesce(sum(vat_minor), 0) AS vat
        FROM billing_invoiceline WHERE invoice_id = j.id) s
    CROSS JOIN LATERAL (
        SELECT CASE WHEN j.subject = 'fee' THEN 0
                    ELSE coalesce(sum(c.gross_minor - c.deposit_minor - c.wallet_minor), 0)
               END AS unpaid
        FROM billing_invoiceline l JOIN billing_billedcharge b ON b.line_id = l.id
        JOIN billing_charge c ON c.id = b.charge_id WHERE l.invoice_id = j.id) u
    WHERE i.id = j.id AND j.id = ANY(%s)
"""


def _discard_empty(ids: Sequence[int], at: datetime) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_invoice i SET state = 'discarded', discarded_at = %s"
            " WHERE id = ANY(%s) AND NOT EXISTS ("
            " SELECT FROM billing_invoiceline l WHERE l.invoice_id = i.id) RETURNING id, public_id",
            [at, list(ids)],
        )
        found = cursor.fetchall()
    for _id, public_id in found:
        journal.record(
            event="invoice.discarded",
            object_id="inv_" + public_id.hex,
            actor=ACTOR,
            at=at,
            from_state=Invoice.State.DRAFT,
            to_state=Invoice.State.DISCARDED,
            reason="nothing was left on it",
        )
    return {pk for pk, _public_id in found}


def _number(ids: Sequence[int], at: datetime) -> list[tuple[str, str, str, int, str, int, str]]:
    """The next numbers of each issuer's series, in the order of the documents."""
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_invoiceseries (issuer_id, kind, last_number)"
            " SELECT DISTINCT issuer_id, kind, 0 FROM billing_invoice WHERE id = ANY(%s)"
            " ORDER BY 1, 2 ON CONFLICT DO NOTHING",
            [list(ids)],
        )
        cursor.execute(
            "SELECT s.id FROM billing_invoiceseries s WHERE EXISTS ("
            " SELECT FROM billing_invoice i WHERE i.id = ANY(%s)"
            " AND (i.issuer_id, i.kind) = (s.issuer_id, s.kind)) ORDER BY s.id FOR UPDATE",
            [list(ids)],
        )
        cursor.execute(
            _NUMBER,
            {
                "ids": list(ids),
                "at": at,
                "due_at": at + timedelta(days=settings.INVOICE_DUE_DAYS),
                "invoice": settings.INVOICE_PREFIX,
                "credit_note": settings.CREDIT_NOTE_PREFIX,
            },
        )
        made = cursor.fetchall()
        cursor.execute(
            "UPDATE billing_invoiceseries s SET last_number = i.number FROM ("
            " SELECT issuer_id, kind, max(number) AS number FROM billing_invoice"
            " WHERE id = ANY(%s) GROUP BY 1, 2) i"
            " WHERE (s.issuer_id, s.kind) = (i.issuer_id, i.kind)",
            [list(ids)],
        )
    return [("inv_" + public_id.hex, *rest) for public_id, *rest in made]


_PARTY = """
    jsonb_build_object('name', coalesce(nullif(d.title, ''), o.name), 'name_en', o.name_en,
        'tax_number', coalesce(nullif(d.tax_number, ''), o.credit_code, ''),
        'address', coalesce(d.address, ''), 'phone', coalesce(d.phone, ''),
        'bank_name', coalesce(nullif(d.bank_name, ''), b.bank_name, ''),
        'bank_account', coalesce(nullif(d.bank_account, ''), b.number, ''),
        'account_name', coalesce(b.holder_name, ''))
    FROM inventory_organisation o
    LEFT JOIN billing_billingdetails d ON d.organisation_id = o.id
    LEFT JOIN LATERAL (
        SELECT holder_name, bank_name, number FROM billing_bankaccount
        WHERE owner_id = o.id AND currency = i.currency AND state = 'verified'
        ORDER BY id DESC LIMIT 1) b ON true
"""
_NUMBER = f"""
    UPDATE billing_invoice i
    SET state = 'finalised', finalised_at = %(at)s, number = n.number,
        label = n.prefix || lpad(n.number::text, greatest(8, length(n.number::text)), '0'),
        payment_status = CASE WHEN i.kind = 'credit_note' OR i.unpaid_minor <= 0
                              THEN 'prepaid' ELSE 'open' END,
        due_at = CASE WHEN i.kind = 'invoice' AND i.unpaid_minor > 0 THEN %(due_at)s END,
        seller = (SELECT {_PARTY} WHERE o.id = i.issuer_id),
        buyer = (SELECT {_PARTY} WHERE o.id = i.party_id)
    FROM (
        SELECT j.id, s.last_number + row_number() OVER (
                   PARTITION BY j.issuer_id, j.kind ORDER BY j.month, j.id) AS number,
               CASE j.kind WHEN 'invoice' THEN %(invoice)s::text
                    ELSE %(credit_note)s::text END AS prefix
        FROM billing_invoice j
        JOIN billing_invoiceseries s ON (s.issuer_id, s.kind) = (j.issuer_id, j.kind)
        WHERE j.id = ANY(%(ids)s)) n
    WHERE i.id = n.id
    RETURNING i.public_id, i.kind, i.label, i.party_id, i.subject, i.total_minor, i.currency
"""
