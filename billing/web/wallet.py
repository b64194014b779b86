"""A tenant's wallet: what is in it, what is kept aside, and every movement."""

from __future__ import annotations

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import chart, instructions, ledger, runway
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
    Kind.WALLET_REFUNDED: gettext_lazy("unused money sent back"),
    Kind.REFUND_FAILED: gettext_lazy("a refund that came back"),
    Kind.DEAL_FUNDED: gettext_lazy("paid for a lease"),
    Kind.USAGE_CHARGED: gettext_lazy("delivered hours"),
    Kind.DEAL_CANCELLED: gettext_lazy("refund of a cancelled lease"),
    Kind.DEAL_EXTENDED: gettext_lazy("paid for a longer lease"),
    Kind.DEAL_SHORTENED: gettext_lazy("refund of a lease cut short"),
    Kind.DEAL_REPRICED: gettext_lazy("another price of a lease"),
    Kind.DEAL_CLOSED: gettext_lazy("rest of a lease's deposit"),
    Kind.RECEIVABLE_CLEARED: gettext_lazy("debt paid"),
    Kind.INSTALMENT_COLLECTED: gettext_lazy("months paid ahead"),
    Kind.SECURITY_TAKEN: gettext_lazy("security of a lease"),
    Kind.SECURITY_RETURNED: gettext_lazy("security given back"),
    Kind.ARREARS_COLLECTED: gettext_lazy("a month in arrears"),
    Kind.TOPPED_UP: gettext_lazy("online payment"),
    Kind.WALLET_REFUNDED: gettext_lazy("refund to where it was paid from"),
    Kind.REFUND_FAILED: gettext_lazy("refund that came back"),
    Kind.DISPUTE_LOST: gettext_lazy("disputed payment"),
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
        "runway": runway.of(organisation, currency=currency, at=request.visit.at),
        "transfer": instructions.for_wallet(organisation, currency),
        "receipts": _on_their_way(request),
        "page": found,
        "rows": [
            (entry, MOVEMENTS.get(Kind(entry.transaction.kind), entry.transaction.kind))
            for entry in found.rows
        ],
    }
    return render(request, "console/wallet.html", context)


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
