"""How to make a row of each collection of the API, in a market where it can be."""

from __future__ import annotations

from collections.abc import Callable

from tests.api.market import Market
from tests.api.rows import accounting, deals, documents, earnings, machines, online, rail, service

Maker = Callable[[Market], str]

# What is made waits for its next step: a credit note for its second person, a payout for its.
OBJECTS: dict[str, Maker] = {
    "organisations": lambda market: market.provider.public_id,
    "projects": machines.project,
    "api-keys": machines.key,
    "quotas": machines.quota,
    "centres": machines.centre,
    "fabrics": lambda market: market.pool.fabric.public_id,
    "pools": lambda market: market.pool.public_id,
    "nodes": machines.node,
    "outages": machines.outage,
    "instances": lambda market: market.instance().public_id,
    "external-allocations": machines.external,
    "health-reports": machines.health_report,
    "telemetry-sources": machines.telemetry_source,
    "series-bindings": machines.series_binding,
    "meter-disputes": earnings.meter_dispute,
    "listings": lambda market: str(market.listing()["id"]),
    "reservations": deals.reservation,
    "baskets": deals.basket,
    "leases": deals.lease,
    "quotes": deals.quote,
    "amendments": deals.amendment,
    "charges": deals.charge,
    "instalments": deals.instalment,
    "bank-receipts": rail.receipt,
    "bank-accounts": rail.proposed_account,
    "bank-statements": rail.statement,
    "bank-lines": rail.line,
    "refunds": rail.asked_refund,
    "payment-files": rail.file,
    "invoices": documents.invoice,
    "credit-notes": documents.asked_credit,
    "statements": documents.statement,
    "contests": documents.contest,
    "fapiaos": documents.fapiao,
    "settlements": earnings.settlement,
    "payouts": earnings.payout,
    "payout-files": earnings.file,
    "payout-terms": earnings.terms,
    "input-fapiaos": earnings.input_fapiao,
    "provider-repayments": earnings.repayment,
    "topups": online.top_up,
    "topup-refunds": online.refund,
    "disputes": online.dispute,
    "payout-accounts": online.payout_account,
    "gateway-events": online.event,
    "gateway-requests": online.request,
    "ledger-transactions": accounting.posted,
    "vouchers": accounting.voucher,
    "accounting-periods": accounting.closing_month,
    "reconciliation-matches": accounting.match,
    "sla-months": service.sla_month,
    "incidents": service.incident,
    "cases": service.case,
    "notification-channels": service.channel,
    "notification-deliveries": service.delivery,
}
