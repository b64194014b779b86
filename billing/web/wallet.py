"""A tenant's wallet: what is in it, what is kept aside, and every movement."""

from __future__ import annotations

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import chart, ledger
from billing.models import BankReceipt, LedgerEntry, LedgerTransaction
from marketplace import money_text
from marketplace.web import exports
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.paging import paged

EXPORT_ROWS = 50_000
SHOWN_RECEIPTS = 20
Kind = LedgerTransaction.Kind
MOVEMENTS = {
    Kind.BANK_RECEIPT_APPROVED: gettext_lazy("bank transfer"),
    Kind.DEAL_FUNDED: gettext_lazy("paid for a lease"),
    Kind.USAGE_CHARGED: gettext_lazy("delivered hours"),
    Kind.DEAL_CANCELLED: gettext_lazy("refund of a cancelled lease"),
    Kind.DEAL_EXTENDED: gettext_lazy("paid for a longer lease"),
    Kind.DEAL_SHORTENED: gettext_lazy("refund of a lease cut short"),
    Kind.DEAL_REPRICED: gettext_lazy("another price of a lease"),
    Kind.DEAL_CLOSED: gettext_lazy("rest of a lease's deposit"),
    Kind.RECEIVABLE_CLEARED: gettext_lazy("debt paid"),
    Kind.REVERSED: gettext_lazy("reversal"),
}


def _entries(request: ConsoleRequest) -> QuerySet[LedgerEntry]:
    code = chart.wallet(request.visit.organisation, settings.DEFAULT_CURRENCY)
    return LedgerEntry.objects.filter(account__code=code).select_related("transaction")


@page(scope="wallet:read", party="tenant")
def index(request: ConsoleRequest) -> HttpResponse:
    """Balance, what is held, how to top up, and the movements, the newest first."""
    organisation, currency = request.visit.organisation, settings.DEFAULT_CURRENCY
    found = paged(_entries(request), request)
    context = {
        "balance": ledger.balance(organisation, currency=currency),
        "currency": currency,
        "bank": _bank(),
        "receipts": _on_their_way(request),
        "page": found,
        "rows": [
            (entry, MOVEMENTS.get(Kind(entry.transaction.kind), entry.transaction.kind))
            for entry in found.rows
        ],
    }
    return render(request, "console/wallet.html", context)


def _bank() -> dict[str, str] | None:
    """Where a transfer goes to; None unless all of it is known: half an account misleads."""
    found = {
        "account_name": settings.OPERATOR_ACCOUNT_NAME,
        "bank_name": settings.OPERATOR_BANK_NAME,
        "account_number": settings.OPERATOR_ACCOUNT_NUMBER,
    }
    return found if all(found.values()) else None


def _on_their_way(request: ConsoleRequest) -> QuerySet[BankReceipt]:
    """The tenant's transfers that the operator has seen, and a second person not yet approved."""
    visit = request.visit
    rows = BankReceipt.objects.visible_to(visit.actor).filter(tenant=visit.organisation)
    return rows.filter(state=BankReceipt.State.RECORDED).order_by("-pk")[:SHOWN_RECEIPTS]


@page(scope="wallet:read", party="tenant")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    header = [_("Instant (UTC)"), _("Movement"), _("Amount"), _("Currency"), _("Reference")]
    lines = (
        [
            entry.transaction.effective_at.isoformat(),
            entry.transaction.kind,
            # A wallet is a liability: a credit, negative in the books, is money of the tenant.
            money_text.plain_money(-entry.amount_minor, entry.currency),
            entry.currency,
            entry.transaction.external_reference,
        ]
        for entry in _entries(request).order_by("-pk")[:EXPORT_ROWS].iterator(chunk_size=1000)
    )
    return exports.stream("wallet", header, lines)
