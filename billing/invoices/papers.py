"""A final invoice as PDF: made once in each language, and kept with its hash."""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from billing import paper as sheets
from billing.models import Charge, Invoice, InvoiceLine, InvoicePaper
from billing.paper import Block, Column, Document, Language, Table
from marketplace.money_text import format_money, format_price, plain_money

logger = logging.getLogger(__name__)


def paper(*, invoice: Invoice, language: Language, at: datetime) -> InvoicePaper:
    """The PDF of a final invoice; made now where the sweep has not come by yet. Idempotent."""
    known = InvoicePaper.objects.filter(invoice=invoice, language=language).first()
    if known is not None:
        return known
    content = sheets.render(document(invoice, language))
    row = InvoicePaper(
        invoice=invoice,
        language=language,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        created_at=at,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:  # another one made the same meanwhile
        return InvoicePaper.objects.get(invoice=invoice, language=language)
    return row


def render_due(*, at: datetime, limit: int) -> int:
    """Final invoices get their PDFs in each language; returns how many were made. Idempotent."""
    made = 0
    for language in sheets.LANGUAGES:
        rows = Invoice.objects.filter(state=Invoice.State.FINALISED).exclude(
            papers__language=language
        )
        for invoice in rows.order_by("pk")[: max(0, limit - made)]:
            paper(invoice=invoice, language=language, at=at)
            made += 1
    return made


def document(invoice: Invoice, language: Language) -> Document:
    """What the paper says, from the frozen rows alone."""
    with translation.override(sheets.LOCALES[language]):
        return _document(invoice, language)


def _document(invoice: Invoice, language: Language) -> Document:
    is_note = invoice.kind == Invoice.Kind.CREDIT_NOTE
    dated = invoice.finalised_at or invoice.created_at
    lines = list(
        invoice.lines.select_related(
            "lease__allocation__pool", "price", "corrects__invoice"
        ).order_by("lease_id", "month", "pk")
    )
    facts = [
        (_("Number"), invoice.label or _("draft")),
        (_("Date"), _day(dated)),
        (_("Period"), period_text(invoice)),
        (_("Currency"), invoice.currency),
    ]
    if invoice.due_at is not None:
        facts.append((_("Due on"), _day(invoice.due_at)))
    if invoice.reason:
        facts.append((_("Reason"), invoice.reason))
    return Document(
        language=language,
        title=_("Credit note") if is_note else _("Invoice"),
        number=invoice.label,
        dated=dated,
        facts=facts,
        blocks=[
            _party(_("Seller"), invoice.seller, bank=not is_note),
            _party(_("Buyer"), invoice.buyer, bank=False),
        ],
        tables=[_lines(invoice, lines), _vat(invoice, lines)],
        sums=[
            (_("Net"), plain_money(invoice.net_minor, invoice.currency, separator=",")),
            (_("VAT"), plain_money(invoice.vat_minor, invoice.currency, separator=",")),
            (_("Total"), format_money(invoice.total_minor, invoice.currency)),
        ],
        notes=[
            _("Quantities are card-hours delivered, each hour charged once."),
            _("This document is not a fapiao; one can be requested for it."),
        ],
        footer=" · ".join(filter(None, [str(invoice.seller.get("name", "")), invoice.public_id])),
        stamp="" if invoice.is_final else _("DRAFT"),
    )


def _party(title: str, party: dict[str, str], *, bank: bool) -> Block:
    names = [
        (_("Name"), "name"),
        (_("Tax number"), "tax_number"),
        (_("Address"), "address"),
        (_("Phone"), "phone"),
    ]
    if bank:
        names += [
            (_("Account name"), "account_name"),
            (_("Bank"), "bank_name"),
            (_("Account number"), "bank_account"),
        ]
    return Block(title, [(label, str(party[key])) for label, key in names if party.get(key)])


def _lines(invoice: Invoice, lines: list[InvoiceLine]) -> Table:
    def money(amount: int) -> str:
        return plain_money(amount, invoice.currency, separator=",")

    return Table(
        title=_("Lines"),
        columns=[
            Column(_("Lease"), 3.2),
            Column(_("Used"), 1.7),
            Column(_("Price"), 1.9),
            Column(_("Card-hours"), 1.3, "right"),
            Column(_("Net"), 1.6, "right"),
            Column(_("VAT"), 1.7, "right"),
            Column(_("Gross"), 1.7, "right"),
        ],
        rows=[
            [
                f"{row.lease.allocation.pool.name}\n{row.lease.public_id}\n{what(row)}",
                f"{_day(row.from_at)}\n{_last_day(row)}",
                f"{format_price(row.price.amount_micro)}\n{row.price.get_basis_display()}",
                f"{row.card_hours:,.2f}" if row.card_seconds else "–",
                money(row.net_minor),
                f"{money(row.vat_minor)}\n{rate(row)}",
                money(row.gross_minor),
            ]
            for row in lines
        ],
    )


def _vat(invoice: Invoice, lines: list[InvoiceLine]) -> Table:
    return Table(
        title=_("VAT by rate"),
        columns=[
            Column(_("VAT code"), 2),
            Column(_("Rate"), 1, "right"),
            Column(_("Net"), 2, "right"),
            Column(_("VAT"), 2, "right"),
        ],
        rows=[
            [
                code,
                f"{bps / 100:g} %",
                plain_money(net, invoice.currency, separator=","),
                plain_money(vat, invoice.currency, separator=","),
            ]
            for (code, bps), (net, vat) in vat_by_rate(lines).items()
        ],
    )


def vat_by_rate(lines: list[InvoiceLine]) -> dict[tuple[str, int], tuple[int, int]]:
    """Net and VAT of each code and rate."""
    sums: dict[tuple[str, int], tuple[int, int]] = {}
    for row in lines:
        net, vat = sums.get((row.vat_code, row.vat_bps), (0, 0))
        sums[row.vat_code, row.vat_bps] = (net + row.net_minor, vat + row.vat_minor)
    return dict(sorted(sums.items()))


def what(row: InvoiceLine) -> str:
    """What a line is for, beside its lease."""
    text = str(row.get_kind_display())
    if row.corrects is not None:
        return _("%(kind)s, corrects %(label)s") % {"kind": text, "label": row.corrects.invoice}
    if row.month != row.invoice.month and row.kind == Charge.Kind.USAGE:
        return _("%(kind)s, late of %(month)s") % {"kind": text, "month": f"{row.month:%Y-%m}"}
    return text


def rate(row: InvoiceLine) -> str:
    return f"{row.vat_code} {row.vat_bps / 100:g} %"


def period_text(invoice: Invoice) -> str:
    """ "2026-11-01 – 2026-11-30", in the billing zone."""
    last = invoice.period.upper - timedelta(microseconds=1)
    return f"{_day(invoice.period.lower)} – {_day(last)}"


def _last_day(row: InvoiceLine) -> str:
    last = max(row.from_at, row.until_at - timedelta(microseconds=1))
    return "" if _day(last) == _day(row.from_at) else f"– {_day(last)}"


def _day(instant: datetime) -> str:
    return f"{instant.astimezone(ZoneInfo(settings.BILLING_ZONE)):%Y-%m-%d}"
