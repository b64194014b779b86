"""Movements on the operator's accounts, and which of them nobody has explained yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.translation import gettext as _

from billing import payout_files
from billing.models import BankLine, BankReceipt, Payout
from marketplace import money_text
from marketplace.web import exports
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.paging import paged

EXPORT_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A line with what explains it; without that, for how many days it has been there."""

    line: BankLine
    payout: Payout | None
    is_explained: bool
    days: int


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    """Every line, the newest first; narrowed to those without an explanation, in or out."""
    chosen = request.GET.get("show", "")
    narrowed = {
        "open": _open(),
        "in": Q(amount_minor__gt=0),
        "out": Q(amount_minor__lt=0),
    }
    found = paged(_rows(request).filter(narrowed.get(chosen, Q())), request)
    context = {
        "page": found,
        "seen": _seen(found.rows, request.visit.at),
        "chosen": chosen,
        "filters": [
            ("", _("All")),
            ("open", _("Not explained")),
            ("in", _("Money in")),
            ("out", _("Money out")),
        ],
        "alarm_days": settings.UNMATCHED_ALARM_DAYS,
    }
    return render(request, "console/bank_lines.html", context)


def _open() -> Q:
    """Came in and is in nobody's wallet, or left and paid neither a refund nor a payout."""
    came_in = Q(amount_minor__gt=0) & Q(
        receipt__state__in=[BankReceipt.State.RECORDED, BankReceipt.State.RETURNING]
    )
    paid = Payout.objects.filter(state=Payout.State.PAID).exclude(rail_reference="")
    left = Q(amount_minor__lt=0, refund__isnull=True) & ~Q(
        bank_reference__in=paid.values("rail_reference")
    )
    return came_in | left


def _seen(lines: list[BankLine], at: datetime) -> list[Seen]:
    """Two statements for all of them."""
    out = [line for line in lines if line.amount_minor < 0]
    payouts = Payout.objects.filter(
        Q(rail_reference__in=[line.bank_reference for line in out if line.bank_reference])
        | Q(state__in=[Payout.State.SENT, Payout.State.PAID], method="bank")
    ).filter(amount_minor__in=[-line.amount_minor for line in out])
    rows = list(payouts.select_related("provider")) if out else []
    by_reference = {row.rail_reference: row for row in rows if row.rail_reference}
    by_own = {payout_files.reference_of(row): row for row in rows}
    return [_one(line, by_reference, by_own, at) for line in lines]


def _one(
    line: BankLine, by_reference: dict[str, Payout], by_own: dict[str, Payout], at: datetime
) -> Seen:
    receipt, refund = getattr(line, "receipt", None), getattr(line, "refund", None)
    payout = None
    if line.amount_minor < 0 and refund is None:
        payout = by_reference.get(line.bank_reference) or by_own.get(line.own_reference)
    waits = receipt is not None and receipt.state in (
        BankReceipt.State.RECORDED,
        BankReceipt.State.RETURNING,
    )
    paid = payout is not None and payout.state == Payout.State.PAID
    explained = refund is not None or paid or (receipt is not None and not waits)
    return Seen(line, payout, explained, max(0, (at - line.created_at).days))


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    header = [
        _("Line"), _("Account"), _("Day"), _("Amount"), _("Currency"),
        _("Balance"), _("Bank reference"), _("Counterparty"),
        _("Counterparty's account"), _("Remittance text"), _("Receipt"), _("Refund"),
    ]  # fmt: skip
    lines = (
        [
            row.public_id, row.account.number, row.booked_date.isoformat(),
            money_text.plain_money(row.amount_minor, row.currency), row.currency,
            "" if row.balance_minor is None
            else money_text.plain_money(row.balance_minor, row.currency),
            row.bank_reference, row.counterparty_name, row.counterparty_account, row.text,
            row.receipt.public_id if getattr(row, "receipt", None) else "",
            row.refund.public_id if getattr(row, "refund", None) else "",
        ]
        for row in _rows(request).order_by("-pk")[:EXPORT_ROWS].iterator()
    )  # fmt: skip
    return exports.stream("bank-lines", header, lines)


def _rows(request: ConsoleRequest) -> QuerySet[BankLine]:
    rows = BankLine.objects.visible_to(request.visit.actor)
    return rows.select_related("account", "receipt__tenant", "refund__tenant")
